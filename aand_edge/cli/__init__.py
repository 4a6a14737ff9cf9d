"""The command line: each command reads its options, calls one function and prints what came back."""

from __future__ import annotations

from typing import NoReturn

from aand_edge.cli.app import app
from aand_edge.cli.failure import INTERRUPTED, explain

__all__ = ["app", "main"]


def main() -> None:
    """Run a command; whatever goes wrong ends in one sentence on stderr and the documented exit code."""
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Typer turns Ctrl-C into this, without a word
            explain(KeyboardInterrupt())
        _end(end.code if isinstance(end.code, int) else int(end.code is not None))
    except (Exception, KeyboardInterrupt) as error:
        _end(explain(error))


def _end(code: int) -> NoReturn:
    from aand_edge.runtime.stopping import end_process

    end_process(code)
