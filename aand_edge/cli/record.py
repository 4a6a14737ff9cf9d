"""`aand-edge record`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aand_edge.cli.cameras import (
    Exposure,
    Flip,
    Rate,
    Roi,
    Size,
    Sources,
    Trigger,
    asked_of_cameras,
    named_or_of_file,
)
from aand_edge.cli.console import Console, log_for_who_asks
from aand_edge.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aand_edge.config import CameraSettings


def command(
    sources: Sources = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("pictures"),
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many, of all cameras together; until Ctrl-C by default."),
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
    from aand_edge.cli.show import answer, facts
    from aand_edge.config import Workspace
    from aand_edge.errors import DataError
    from aand_edge.runtime.recording import record
    from aand_edge.runtime.station import check_cameras

    given = asked_of_cameras(size, rate, exposure, flip, roi)
    cameras = named_or_of_file(Workspace.open(), sources or [], {**given, "trigger": trigger}, "record")
    check_cameras(cameras)
    _refuse_own_folder(cameras, out)
    log_for_who_asks()
    with Console(quiet=True, several=len(cameras) > 1) as console:
        done = record(cameras, out, count, every, console.append)
    if not done.saved:
        reason = f"{done.failed} failed, {done.dropped} were passed over"
        raise DataError(f"No picture was saved: {reason}", "See what is told above; check source, trigger and region.")
    rows = [("folder", out), ("pictures", done.saved), ("failed", done.failed), ("passed over", done.dropped)]
    reply = {"folder": str(out), "saved": done.saved, "failed": done.failed, "dropped": done.dropped}
    answer(reply, as_json, facts("recorded", rows))


def _refuse_own_folder(cameras: Sequence[CameraSettings], out: Path) -> None:
    """Raises UsageError for a folder that is recorded into itself: copies would lie on both sides of a hold-out."""
    from aand_edge.errors import UsageError

    if any(Path(each.source).resolve() == out.resolve() for each in cameras):
        raise UsageError(f"{out} is the source", "Take another folder with --out.")
