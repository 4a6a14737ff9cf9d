"""`aand-edge run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aand_edge.cli.options import Json

if TYPE_CHECKING:
    from aand_edge.engines.base import Outputs
    from aand_edge.runtime.pictures import Frame
    from aand_edge.runtime.verdict import Verdict


def command(
    source: Annotated[str, typer.Argument(help="A picture, a folder or a glob of pictures.")],
    engine: Annotated[str | None, typer.Option(help="Name or file; the only one of the workspace by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for verdicts.jsonl and overlays of rejected parts.")] = None,
    as_json: Json = False,
) -> None:
    """Judge pictures with an engine: pass or reject, and where the defect is."""
    from aand_edge.cli.lookup import find_engines
    from aand_edge.cli.show import answer, facts, say
    from aand_edge.config import Workspace
    from aand_edge.engines.load import load_engine
    from aand_edge.errors import DataError, UsageError
    from aand_edge.runtime.inspection import inspect_frames
    from aand_edge.runtime.pictures import find_pictures, read_frames
    from aand_edge.runtime.record import Recorder

    files = find_pictures(source)
    paths = find_engines(Workspace.open(), [engine] if engine else [])
    if len(paths) > 1:
        raise UsageError(f"There are {len(paths)} engines", f"Name one with --engine, say {paths[0].stem}.")
    manifest, runner = load_engine(paths[0])

    with runner, Recorder(out) as recorder:

        def show(frame: Frame, verdict: Verdict, outputs: Outputs) -> None:
            recorder.append(frame, verdict, outputs)
            if not as_json:
                word = "REJECT" if verdict.rejected else "pass  "
                typer.echo(f"{word}  {verdict.score:.4f}  {frame.name}")

        tally = inspect_frames(read_frames(files), manifest, runner, show, lambda error: say(f"failed: {error}"))
    summary = tally.to_dict()
    rows = [(name, summary[name]) for name in ("judged", "rejected", "failed")]
    answer(summary, as_json, facts(manifest.name, [*rows, ("frames a second", f"{summary['fps']:.1f}")]))
    if tally.judged == 0:
        raise DataError("No picture could be judged", "Check the files named above.")
