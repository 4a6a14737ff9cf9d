"""The commands by name. Each module is small and imports what it needs when its command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from aand_edge import __version__

app = typer.Typer(
    name="aand-edge",
    help="Train AAND on pictures of good parts, build an engine, and judge parts beside a conveyor.",
    epilog="Exit codes: 0 ok · 1 failure · 2 usage · 3 missing dependency or device · 4 artefact mismatch · "
    "5 accuracy budget failed · 6 latency budget failed · 130 interrupted",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aand-edge {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train AAND on pictures of good parts, build an engine, and judge parts beside a conveyor."""


from aand_edge.cli import (  # noqa: E402
    bench,
    build,
    calibrate,
    doctor,
    evaluate,
    export,
    init,
    inspect,
    record,
    run,
    threshold,
    train,
)

COMMANDS = (
    ("init", init.command),
    ("record", record.command),
    ("doctor", doctor.command),
    ("train", train.command),
    ("eval", evaluate.command),
    ("export", export.command),
    ("calibrate", calibrate.command),
    ("build", build.command),
    ("bench", bench.command),
    ("threshold", threshold.command),
    ("run", run.command),
    ("inspect", inspect.command),
)
for _name, _command in COMMANDS:
    app.command(_name)(_command)
