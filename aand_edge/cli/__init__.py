"""The command line: each command reads its options, calls one function and prints what came back."""

from __future__ import annotations

import sys

from aand_edge.cli.app import app
from aand_edge.cli.failure import explain

__all__ = ["app", "main"]


def main() -> None:
    """Run a command; whatever goes wrong ends in one sentence on stderr and the documented exit code."""
    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(explain(error))
