"""`aand-edge run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aand_edge.cli.cameras import (
    Exposure,
    Flip,
    Follow,
    Rate,
    Roi,
    Size,
    Sources,
    Trigger,
    asked_of_cameras,
    named_or_of_file,
)
from aand_edge.cli.console import Console, log_for_who_asks, read_by_someone, say_to_someone
from aand_edge.cli.options import Json, refused_value

if TYPE_CHECKING:
    from aand_edge.config import PageSettings, Workspace


def command(
    sources: Sources = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Name, file or triton://HOST:8001/MODEL; the only one of the workspace by default."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for verdicts.jsonl and pictures of rejected parts.")] = None,
    append: Annotated[bool, typer.Option("--append", help="Go on in a folder of an earlier run.")] = False,
    size: Size = None,
    rate: Rate = None,
    exposure: Exposure = None,
    flip: Flip = None,
    roi: Roi = None,
    trigger: Trigger = None,
    follow: Follow = False,
    threshold: Annotated[float | None, typer.Option(help="In place of the engine's own.")] = None,
    deadline_ms: Annotated[float | None, typer.Option(help="From capture to verdict; later counts as late.")] = None,
    fail_safe: Annotated[
        str | None, typer.Option(help="reject (default) or pass: parts that failed or came late.")
    ] = None,
    page: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve the live page there; this machine alone sees it by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge what cameras or files show: pass or reject. A verdict tells where the defect is too.

    Ctrl-C and SIGTERM end it after what waits was judged. SIGHUP reads aand-edge.toml and the engine again.
    """
    from aand_edge.cli.failure import DEBUG
    from aand_edge.cli.lookup import find_places, warn_of_older_weights
    from aand_edge.cli.show import answer, facts
    from aand_edge.config import Workspace
    from aand_edge.errors import DataError, UsageError
    from aand_edge.runtime.station import check_cameras, run_station

    log_for_who_asks()
    workspace = Workspace.open()
    shown = _page(workspace, page)
    settings = workspace.settings.run
    of_camera = asked_of_cameras(size, rate, exposure, flip, roi)
    cameras = named_or_of_file(workspace, sources or [], {**of_camera, "trigger": trigger, "follow": follow or None})
    check_cameras(cameras)
    name = engine or settings.engine
    places = find_places(workspace, [name] if name else [])
    if len(places) > 1:
        raise UsageError(f"There are {len(places)} engines", f"Name one with --engine, say {places[0].stem}.")
    warn_of_older_weights(workspace, places)
    given = {"threshold": threshold, "deadline_ms": deadline_ms, "fail_safe": fail_safe}
    given = _checked(given)
    where = out or workspace.resolve_optional(settings.out)
    if append and where is None:
        raise UsageError("--append goes on in a folder, and none was named", "Name it with --out.")
    _tell_token(workspace, shown)
    tally = run_station(
        workspace, places[0], cameras, where, Console(as_json, several=len(cameras) > 1), given, append, shown
    )
    for sink, count in tally.unwritten.items():
        say_to_someone(f"warning: {sink} did not take {count} of what it was told; {DEBUG}=1 says why")
    summary = tally.to_dict()
    rows = [(key, summary[key]) for key in ("judged", "rejected", "dropped", "failed", "late")]
    if tally.gate_missed:
        rows.append(("missed by the gate", f"{tally.gate_missed} of the rejected parts"))
    took = ", ".join(f"{name} {value:.1f} ms" for name, value in summary["latency_ms"].items())
    rows += [("frames a second", f"{summary['fps']:.1f}"), ("capture to verdict", took)]
    with read_by_someone(sys.stdout):
        answer(summary, as_json, facts(places[0].stem, [row for row in rows if row[1] != ""]))
    if tally.failed and not tally.judged:
        raise DataError("No picture could be judged", "See what is told of the source above.")


def _page(workspace: Workspace, page: str | None) -> PageSettings | None:
    """The live page: where it was asked for, or the workspace file's. Raises UsageError for a place that cannot be."""
    from pydantic import ValidationError

    from aand_edge.config import PageSettings
    from aand_edge.errors import UsageError

    if page is None:
        return workspace.settings.run.page
    host, mark, port = page.rpartition(":")
    found = workspace.settings.run.page or PageSettings()
    place = {"host": host.strip("[]") if mark else found.host, "port": port}
    try:
        return PageSettings.model_validate({**found.model_dump(), **place})
    except ValidationError:
        raise UsageError(f"--page {page} is no place", "Give a port, or HOST:PORT, say 0.0.0.0:8765.") from None


def _tell_token(workspace: Workspace, page: PageSettings | None) -> None:
    """A token that was made is told once, and to the terminal alone: records and brokers keep what they are told.

    None is made for a page that cannot be served.
    """
    from aand_edge.cli.show import say
    from aand_edge.runtime.live_page.access import make_token, token_file
    from aand_edge.runtime.sinks.live_page import check_page

    if page is None:
        return
    check_page(page)
    if token := make_token(workspace.root, page):
        say(f"The live page asks for a token, which lies in {token_file(workspace.root, page)} now: {token}")


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given. Raises UsageError for a value that cannot be."""
    from pydantic import ValidationError

    from aand_edge.config import RunSettings

    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        RunSettings.model_validate(chosen)
    except ValidationError as error:
        raise refused_value(error, "run") from None
    return chosen
