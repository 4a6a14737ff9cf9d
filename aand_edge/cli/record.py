"""`aand-edge record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aand_edge.cli.cameras import Exposure, Flip, Rate, Roi, Size, Sources, Trigger, named_or_of_file
from aand_edge.cli.console import Console
from aand_edge.cli.options import Json


def command(
    sources: Sources = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("pictures"),
    count: Annotated[
        int | None, typer.Option(min=1, help="Pictures after which it is enough; until Ctrl-C by default.")
    ] = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two pictures of a camera.")] = 0.0,
    size: Size = None,
    rate: Rate = None,
    exposure: Exposure = None,
    flip: Flip = None,
    roi: Roi = None,
    trigger: Trigger = None,
    as_json: Json = False,
) -> None:
    """Save what cameras show, to train on. As the line will see it: same camera, light, trigger and region.

    Ctrl-C ends it. What the pictures show is yours to know: let good parts pass alone.
    """
    from aand_edge.cli.lookup import parse_frame, parse_roi
    from aand_edge.cli.show import answer, facts
    from aand_edge.config import Workspace
    from aand_edge.errors import DataError
    from aand_edge.runtime.recording import record
    from aand_edge.runtime.station import check_cameras

    given = {"size": parse_frame(size), "rate": rate, "exposure": exposure, "flip": flip, "roi": parse_roi(roi)}
    cameras = named_or_of_file(Workspace.open(), sources or [], {**given, "trigger": trigger}, "record")
    check_cameras(cameras)
    with Console(quiet=True, several=len(cameras) > 1) as console:
        done = record(cameras, out, count, every, console.append)
    if done.failed and not done.saved:
        raise DataError("No picture could be had", "See what is told of the source above.")
    rows = [("folder", out), ("pictures", done.saved), ("failed", done.failed), ("passed over", done.dropped)]
    reply = {"folder": str(out), "saved": done.saved, "failed": done.failed, "dropped": done.dropped}
    answer(reply, as_json, facts("recorded", rows))
