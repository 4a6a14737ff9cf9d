"""How a script starts, and where its results go: NAME.json and NAME.md, each whole or not at all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import device_line
from aand_edge.errors import AandEdgeError
from benchmarks import RESULTS


def as_program(main: Callable[[], None]) -> None:
    """Run `main`: what aand-edge refuses ends it with the sentence and the exit code that the commands have."""
    try:
        main()
    except AandEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def parser_of(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m module` whose help is the module's docstring, line for line."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_out(parser: argparse.ArgumentParser, name: str) -> None:
    """--out, by default results/NAME."""
    parser.add_argument("--out", type=Path, default=RESULTS / name, help="without a suffix: .json and .md are written")


def heading(title: str, result: Mapping[str, Any]) -> list[str]:
    """The first lines of a page: its title, the device, and how busy the machine was when all was measured."""
    line = f"{device_line(result['device'])} · load average at the end {result['load']:.1f}"
    return [f"# {title}", "", line, ""]


def save_report(out: Path, result: Mapping[str, Any], text: str) -> None:
    """Write `result` and its page beside each other."""
    write_json(out.with_name(f"{out.name}.json"), result)
    write_text(out.with_name(f"{out.name}.md"), text)


def write_report(out: Path, result: Mapping[str, Any], text: str) -> None:
    """Write both, and print the page."""
    save_report(out, result, text)
    print(text)
