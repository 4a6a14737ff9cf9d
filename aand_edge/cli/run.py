"""`aand-edge run`."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from aand_edge.cli.options import Json, refused_value

if TYPE_CHECKING:
    from aand_edge.config import CameraSettings, PageSettings, Workspace
    from aand_edge.runtime.events import Event


def command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="v4l2:///dev/video0, csi://0, rtsp://…, genicam://SERIAL, test://, a video, a folder, a glob or a "
            "picture; the cameras of aand-edge.toml by default.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Name, file or triton://HOST:8001/MODEL; the only one of the workspace by default."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for verdicts.jsonl and pictures of rejected parts.")] = None,
    append: Annotated[bool, typer.Option("--append", help="Go on in a folder of an earlier run.")] = False,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT that cameras are asked for.")] = None,
    rate: Annotated[float | None, typer.Option(help="Frames a second that cameras are asked for.")] = None,
    exposure: Annotated[float | None, typer.Option(help="In the camera driver's own unit.")] = None,
    flip: Annotated[str | None, typer.Option(help="horizontal, vertical or both.")] = None,
    roi: Annotated[str | None, typer.Option(help="X,Y,WIDTH,HEIGHT of the picture that is kept.")] = None,
    trigger: Annotated[
        str | None,
        typer.Option(
            help="free (every frame); one frame a part: part-gate?line=0.5&axis=x, gpio://18?edge=rising, "
            "mqtt://HOST/TOPIC, tcp://127.0.0.1:9100."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with pictures that come into the folder.")] = False,
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
    from aand_edge.cli.lookup import find_places, parse_frame, parse_roi
    from aand_edge.cli.show import answer, facts
    from aand_edge.config import Workspace
    from aand_edge.errors import DataError, UsageError
    from aand_edge.runtime.station import check_cameras, run_station

    # What happens is told by the console and the record; a log is for who asks for one.
    logging.getLogger("aand_edge").addHandler(logging.StreamHandler() if DEBUG in os.environ else logging.NullHandler())
    workspace = Workspace.open()
    shown = _page(workspace, page)
    settings = workspace.settings.run
    of_camera = {"size": parse_frame(size), "rate": rate, "exposure": exposure, "flip": flip, "roi": parse_roi(roi)}
    cameras = _cameras(workspace, sources or [], {**of_camera, "trigger": trigger, "follow": follow or None})
    check_cameras(cameras)
    name = engine or settings.engine
    places = find_places(workspace, [name] if name else [])
    if len(places) > 1:
        raise UsageError(f"There are {len(places)} engines", f"Name one with --engine, say {places[0].stem}.")
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
        _say(f"warning: {sink} did not take {count} of what it was told; {DEBUG}=1 says why")
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


@contextmanager
def read_by_someone(stream: TextIO) -> Iterator[None]:
    """What is printed to it within, unless whoever read it has gone, as `head` does: parts are judged all the same."""
    try:
        yield
        stream.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):  # EIO: a terminal that was closed
            raise
    except SystemExit:  # how rich ends a process whose pipe is broken
        pass
    else:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if stream is sys.stdout:
        _say("warning: nobody reads what is printed any more; parts are judged all the same")


def _say(sentence: str) -> None:
    from aand_edge.cli.show import say

    with read_by_someone(sys.stderr):
        say(sentence)


class Console:
    """A line a verdict on stdout, or nothing with --json; what went wrong on stderr.

    Parts of a camera that fail one after the other for one reason are told of once, and then counted: a region that
    leaves the picture does so in each of a folder's files. `several`: the camera is named.
    """

    name = "console"

    def __init__(self, quiet: bool, several: bool = False) -> None:
        self._quiet, self._several = quiet, several
        self._failures: dict[str, tuple[str, int]] = {}  # camera → what was told of its last parts, and repeats since
        self._away = set[str]()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what was counted."""
        for camera in list(self._failures):
            self._end_failures(camera)

    def append(self, event: Event) -> None:
        """Print what an operator wants to read."""
        from aand_edge.runtime.events import Failed, Inspected, Noticed, SourceChanged, SourceState

        if isinstance(event, Failed):
            self._failed(event.camera, event.reason)
        elif isinstance(event, Inspected):
            self._end_failures(event.camera)
            if not self._quiet:
                word = "REJECT" if event.rejected else "pass  "
                with read_by_someone(sys.stdout):
                    typer.echo(f"{word}  {event.verdict.score:.4f}  {event.frame.name}{'  late' if event.late else ''}")
        elif isinstance(event, Noticed):
            _say(f"{event.level}: {event.text}")
        elif isinstance(event, SourceChanged) and event.state in (SourceState.STALLED, SourceState.LOST):
            self._away.add(event.camera)
            _say(f"{event.camera} is {event.state.value}: {event.reason}")
        elif isinstance(event, SourceChanged) and event.state is SourceState.LIVE and event.camera in self._away:
            self._away.remove(event.camera)
            _say(f"{event.camera} is live again")

    def _failed(self, camera: str, reason: str) -> None:
        told, repeats = self._failures.get(camera, ("", 0))
        if reason == told:
            self._failures[camera] = reason, repeats + 1
            return
        self._end_failures(camera)
        self._failures[camera] = reason, 0
        self._say_failed(camera, reason)

    def _end_failures(self, camera: str) -> None:
        _, repeats = self._failures.pop(camera, ("", 0))
        if repeats:
            self._say_failed(camera, f"{repeats} more, for the same reason")

    def _say_failed(self, camera: str, text: str) -> None:
        _say(f"failed: {camera}: {text}" if self._several else f"failed: {text}")


def _cameras(workspace: Workspace, sources: list[str], options: dict[str, Any]) -> list[CameraSettings]:
    """Those that were named, each with the options; or those of the workspace file."""
    from pydantic import ValidationError

    from aand_edge.cli.lookup import or_elsewhere
    from aand_edge.config import CameraSettings, named_cameras
    from aand_edge.errors import UsageError

    settings = workspace.settings.run
    given = {name: value for name, value in options.items() if value is not None}
    if not sources:
        if not settings.cameras:
            hint = or_elsewhere(workspace, "Name one, or write [[run.cameras]] into aand-edge.toml.")
            raise UsageError("No source was named", hint)
        if given:
            raise UsageError(f"--{next(iter(given))} is for a source that is named", "Write it into aand-edge.toml.")
        named_cameras(settings.cameras, of_file=True)
        return list(settings.cameras)
    try:
        return [CameraSettings.model_validate({**_split(each), **given}) for each in sources]
    except ValidationError as error:
        raise refused_value(error, "run") from None


def _split(source: str) -> dict[str, str]:
    """NAME=SOURCE; an = within a path or a URI is its own."""
    name, mark, rest = source.partition("=")
    if mark and name.replace("-", "").replace("_", "").isalnum():
        return {"name": name, "source": rest}
    return {"source": source}


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
