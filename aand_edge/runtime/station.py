"""Everything around one engine, put together: cameras, mailbox, loop, sinks, and the signals that steer them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from aand_edge.config import FILE, CameraSettings, Workspace
from aand_edge.errors import UsageError
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import Loop
from aand_edge.runtime.mailbox import Mailbox, Policy
from aand_edge.runtime.reload import Reloader, loop_settings
from aand_edge.runtime.sinks.base import Sink
from aand_edge.runtime.sinks.jsonl import JsonlSink
from aand_edge.runtime.sinks.rejects import RejectsSink
from aand_edge.runtime.sources.base import SourceOptions
from aand_edge.runtime.sources.camera import Camera
from aand_edge.runtime.sources.uri import open_source
from aand_edge.runtime.tally import Tally

SINKS_WITHOUT_PICTURES = (JsonlSink,)


def run_station(
    workspace: Workspace,
    engine: Path,
    cameras: Sequence[CameraSettings],
    out: Path | None,
    watcher: Sink,
    given: Mapping[str, Any],
    append: bool = False,
) -> Tally:
    """Judge the cameras' frames until they end or SIGTERM or SIGINT comes; SIGHUP reads settings and engine again.

    out       folder for verdicts.jsonl and rejects/; None: nothing is written
    watcher   a sink of the caller's own
    given     fields of LoopSettings that go before the workspace file's
    append    go on in a folder of an earlier run

    Raises UsageError for cameras or folders that cannot be, EngineFailedError where the engine fails twice.
    """
    late: list[Callable[..., None]] = []  # the loop's own methods, which its parts need before it is there
    named = _named(cameras)
    ready = [Camera(name, each.source, lambda item: mailbox.put(item), _options(each)) for name, each in named.items()]
    mailbox = Mailbox({each.name: Policy.NEWEST if each.live else Policy.LOSSLESS for each in ready})
    lossless = not any(each.live for each in ready)
    with ExitStack() as stack:
        live = stack.enter_context(LiveEngine(engine))
        live.warm_up()
        sinks = [watcher, *(_records(workspace, out, append) if out is not None else [])]
        outlets = [
            stack.enter_context(
                Outlet(sink, not isinstance(sink, SINKS_WITHOUT_PICTURES), lossless, lambda notice: late[0](notice))
            )
            for sink in sinks
        ]
        settings = loop_settings(workspace.settings.run, given)
        reloader = Reloader(workspace.root, workspace.root / FILE, live, ready, given, lambda notice: late[0](notice))
        loop = Loop(live, mailbox, ready, outlets, settings, look_around=reloader)
        late.append(loop.publish)
        with signals(loop.stop, reloader.request):
            return loop.run()


def check_cameras(cameras: Sequence[CameraSettings]) -> None:
    """Raises UsageError or MissingDependencyError for a camera that can never work, before an engine is loaded."""
    for each in _named(cameras).values():
        open_source(each.source, _options(each))


def _named(cameras: Sequence[CameraSettings]) -> dict[str, CameraSettings]:
    """Each camera under a name of its own: the given one, or camera1, camera2, …"""
    named = {each.name or f"camera{number}": each for number, each in enumerate(cameras, start=1)}
    if len(named) < len(cameras):
        raise UsageError("Two cameras have one name", "Give each a name of its own: NAME=SOURCE.")
    return named


def _options(camera: CameraSettings) -> SourceOptions:
    return SourceOptions(camera.size, camera.rate, camera.exposure, camera.flip, camera.roi, camera.follow)


def _records(workspace: Workspace, out: Path, append: bool) -> list[Sink]:
    rejects = workspace.settings.run.rejects
    return [
        JsonlSink(out, append=append),
        RejectsSink(out / "rejects", rejects.quota_mb, rejects.max_age_days, save_map=rejects.save_map),
    ]


@contextmanager
def signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop, SIGHUP reloads; what was before is put back."""
    wanted: dict[signal.Signals, Callable[[], None]] = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if sys.platform != "win32":
        wanted[signal.SIGHUP] = reload

    def handler(number: int, frame: FrameType | None) -> None:
        wanted[signal.Signals(number)]()

    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
