"""Everything around one engine, put together: cameras, mailbox, loop, sinks, and the signals that steer them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from aand_edge.config import (
    FILE,
    MQTT_PASSWORD,
    CameraSettings,
    DriftSettings,
    GateSettings,
    MqttSettings,
    PageSettings,
    RejectsSettings,
    RunSettings,
    Workspace,
    named_cameras,
    plain_name,
)
from aand_edge.engines.load import EnginePlace
from aand_edge.errors import UsageError
from aand_edge.runtime.allocator import few_arenas
from aand_edge.runtime.belt import Belt, CountedBelt, SteadyBelt
from aand_edge.runtime.conveyor import Conveyor, Travel
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.drift import DriftMonitor
from aand_edge.runtime.encoders.uri import open_encoder
from aand_edge.runtime.events import Event, Noticed, now
from aand_edge.runtime.gates.uri import open_gate
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.live_page.access import open_access
from aand_edge.runtime.loop import Loop, unobserved
from aand_edge.runtime.mailbox import Mailbox, Policy
from aand_edge.runtime.reload import Reloader, loop_settings, mark
from aand_edge.runtime.sinks.base import Sink
from aand_edge.runtime.sinks.jsonl import JsonlSink
from aand_edge.runtime.sinks.live_page import LivePageSink
from aand_edge.runtime.sinks.metrics import MetricsSink
from aand_edge.runtime.sinks.rejects import RejectsSink
from aand_edge.runtime.sources.base import SourceOptions
from aand_edge.runtime.sources.camera import Camera
from aand_edge.runtime.sources.uri import open_source
from aand_edge.runtime.tally import Tally
from aand_edge.runtime.triggers.base import Trigger
from aand_edge.runtime.triggers.uri import open_triggers
from aand_edge.runtime.watchdog import ServiceManager, Watchdog

SINKS_WITH_PICTURES = ("rejects", "video", "page")
SINKS_ON_DISK = ("jsonl", "rejects", "video")


def run_station(
    workspace: Workspace,
    engine: EnginePlace,
    cameras: Sequence[CameraSettings],
    out: Path | None,
    watcher: Sink,
    given: Mapping[str, Any],
    append: bool = False,
    page: PageSettings | None = None,
) -> Tally:
    """Judge the cameras' frames until they end or SIGTERM or SIGINT comes; SIGHUP reads settings and engine again.

    out       folder for verdicts.jsonl and rejects/; None: nothing is written
    watcher   a sink of the caller's own
    given     fields of LoopSettings that go before the workspace file's
    append    go on in a folder of an earlier run
    page      in place of the workspace file's

    Raises UsageError for cameras or folders that cannot be, EngineFailedError where the engine fails twice.
    """
    few_arenas()
    file = workspace.root / FILE
    seen = mark(file), mark(engine)
    publisher: list[Callable[[Event], None]] = []  # the loop's own, which its parts need before it is there

    def tell(event: Event) -> None:
        publisher[0](event)

    run = workspace.settings.run
    ready, mailbox = open_cameras(cameras, tell)
    _check_topics(run, [each.name for each in ready])
    gate = _conveyor(workspace.root, run.gate, tell) if run.gate else None
    with ExitStack() as stack:
        watchdog = Watchdog(stack.enter_context(ServiceManager.from_environment()), lambda: _status(loop.tally, ready))
        live = _warm(stack, engine, watchdog)
        sinks = [watcher, *_records(run.rejects, out, append), *_others(workspace, run, live)]
        shown = _page(workspace, page or run.page, engine.stem, ready, given)
        outlets = _outlets([*sinks, shown] if shown else sinks, ready, tell)
        heard = stack.enter_context(ExitStack())  # before the sinks, and so until all is written
        for outlet in outlets:
            stack.enter_context(outlet)
        of_file = ready if tuple(cameras) == run.cameras else []
        reloader = Reloader(workspace.root, file, live, of_file, given, tell, seen, run)
        observe = _drift_monitor(live, run.drift) if run.drift.enabled else unobserved
        look = watchdog.around(reloader)
        loop = Loop(live, mailbox, ready, outlets, loop_settings(run, given), gate, look, observe)
        publisher.append(loop.publish)
        stack.callback(_leave, outlets)
        for notice in _at_the_start(sinks, shown, run.gate):
            tell(notice)
        # Before the gate too: a second signal must end the process neither within a pulse nor with verdicts unwritten.
        heard.enter_context(signals(_both(watchdog.stopping, loop.stop), _both(watchdog.reloading, reloader.request)))
        if gate is not None:
            stack.enter_context(gate)
        stack.callback(watchdog.stopping)
        watchdog.ready()
        tally = loop.run()
    tally.unwritten = {each.name: each.unwritten for each in outlets if each.unwritten}
    return tally


def check_cameras(cameras: Sequence[CameraSettings]) -> None:
    """Raises UsageError or MissingDependencyError for a camera that can never work, before an engine is loaded."""
    named = named_cameras(cameras)
    for each in named.values():
        open_source(each.source, _options(each))
    open_triggers({name: each.trigger for name, each in named.items()})


def open_cameras(cameras: Sequence[CameraSettings], tell: Callable[[Event], None]) -> tuple[list[Camera], Mailbox]:
    """The cameras, not started yet, and where they put their frames; `tell` hears of triggers."""
    named = named_cameras(cameras)
    triggers = open_triggers({name: each.trigger for name, each in named.items()}, tell)
    ready = [
        Camera(name, each.source, lambda item: mailbox.put(item), _options(each), triggers[name])
        for name, each in named.items()
    ]
    mailbox = Mailbox({each.name: _policy(each, triggers[each.name]) for each in ready})
    return ready, mailbox


def _warm(stack: ExitStack, engine: EnginePlace, watchdog: Watchdog) -> LiveEngine:
    """The engine, after its first frame; the stack frees it."""
    watchdog.starting(f"loading {engine.stem}")
    live = stack.enter_context(LiveEngine(engine))
    watchdog.starting(f"warming {engine.stem} up")
    live.warm_up()
    return live


def _outlets(sinks: Sequence[Sink], cameras: Sequence[Camera], tell: Callable[[Event], None]) -> list[Outlet]:
    """A queue before each sink; where there are only files, they wait for room in it."""
    lossless = not any(each.live for each in cameras)
    failed = next((sink.sink_failed for sink in sinks if isinstance(sink, MetricsSink)), _uncounted)
    return [
        Outlet(sink, sink.name in SINKS_WITH_PICTURES, lossless, tell, failed, sink.name in SINKS_ON_DISK)
        for sink in sinks
    ]


def _at_the_start(
    sinks: Sequence[Sink], page: LivePageSink | None, gate: GateSettings | None = None
) -> Iterator[Noticed]:
    """What the sinks found and where they are, once they are open; and a gate of which nobody said where it is."""
    for sink in sinks:
        if isinstance(sink, JsonlSink) and sink.notice:
            yield Noticed("warning", sink.notice, now())
    if page is not None:
        yield Noticed("info", f"The live page is at {page.address}", now())
    if gate is not None and "distance_mm" not in gate.model_fields_set:
        text = (
            "[run.gate] has no distance_mm: the gate moves as soon as a verdict is there. Write 0 where that is meant"
        )
        yield Noticed("warning", text, now())


def _options(camera: CameraSettings) -> SourceOptions:
    return SourceOptions(camera.size, camera.rate, camera.exposure, camera.flip, camera.roi, camera.follow)


def _leave(outlets: Sequence[Outlet]) -> None:
    """After the gate, which tells of the parts that it still pushed off."""
    for outlet in outlets:
        outlet.leave()


def _uncounted(name: str) -> None:
    """Without Prometheus, failures of sinks are told and not counted."""


def _status(tally: Tally, cameras: Sequence[Camera]) -> str:
    """For `systemctl status`."""
    states = ", ".join(f"{each.name} {each.state.value}" for each in cameras)
    return f"{tally.judged} judged, {tally.rejected} rejected, {tally.failed} failed; {states}"


def _policy(camera: Camera, trigger: Trigger | None) -> Policy:
    if not camera.live:
        return Policy.LOSSLESS
    return Policy.NEWEST if trigger is None else Policy.PARTS


def _conveyor(folder: Path, gate: GateSettings, tell: Callable[[Event], None]) -> Conveyor:
    travel = Travel(gate.distance_mm, gate.pulse_ms / 1000)
    return Conveyor(open_gate(gate.output, folder), _belt(gate, tell), travel, tell, gate.late)


def _belt(gate: GateSettings, tell: Callable[[Noticed], None]) -> Belt:
    lead_s = gate.lead_ms / 1000
    if gate.encoder is None:
        if gate.distance_mm and not gate.speed_mm_s:
            raise UsageError("distance_mm needs the belt's speed", "Give speed_mm_s or encoder under [run.gate].")
        return SteadyBelt(gate.speed_mm_s or 1.0, lead_s)
    if not gate.mm_per_pulse or not gate.distance_mm or gate.speed_mm_s:
        raise UsageError(
            "An encoder needs mm_per_pulse and distance_mm, and no speed_mm_s", "Mend them under [run.gate]."
        )
    return CountedBelt(open_encoder(gate.encoder), gate.mm_per_pulse, tell, lead_s)


def _drift_monitor(live: LiveEngine, drift: DriftSettings) -> DriftMonitor:
    return DriftMonitor(lambda: live.manifest, drift.window, drift.false_alarms)


def _records(rejects: RejectsSettings, out: Path | None, append: bool) -> list[Sink]:
    if out is None:
        return []
    return [
        JsonlSink(out, append=append),
        RejectsSink(out / "rejects", rejects.quota_mb, rejects.max_age_days, save_map=rejects.save_map),
    ]


def _others(workspace: Workspace, run: RunSettings, live: LiveEngine) -> list[Sink]:
    """The sinks that the workspace file names; each imports its package only then."""
    sinks: list[Sink] = []
    if run.video is not None:
        from aand_edge.runtime.sinks.video import VideoSink

        sinks.append(VideoSink(workspace.resolve(run.video)))
    if run.mqtt is not None:
        from aand_edge.runtime.mqtt import MqttBroker, usual_port
        from aand_edge.runtime.sinks.mqtt import MqttSink

        mqtt, password = run.mqtt, os.environ.get(MQTT_PASSWORD)
        tls = workspace.resolve(mqtt.ca) if mqtt.ca else mqtt.tls
        broker = MqttBroker(mqtt.host, mqtt.port or usual_port(tls), mqtt.username, password, tls)
        queue = workspace.resolve_optional(mqtt.queue)
        sinks.append(MqttSink(broker, _topic(mqtt, run.line_name), queue=queue, queue_mb=mqtt.queue_mb))
    if run.webhook is not None:
        from aand_edge.runtime.sinks.webhook import WebhookSink, with_secrets

        hook = run.webhook
        sinks.append(WebhookSink(hook.url, hook.only_rejects, headers=with_secrets(hook.headers)))
    if run.metrics is not None:
        sinks.append(MetricsSink(run.metrics.host, run.metrics.port, line=run.line_name, engine=live))
    return sinks


def _check_topics(run: RunSettings, cameras: Sequence[str]) -> None:
    """Raises UsageError for a camera that MQTT has no topic for, before an engine is loaded."""
    if run.mqtt is not None:
        from aand_edge.runtime.sinks.mqtt import check_names

        check_names(_topic(run.mqtt, run.line_name), cameras)


def _topic(mqtt: MqttSettings, line: str) -> str:
    """The topic of the line, in which {camera} still stands for each camera."""
    return mqtt.topic.replace("{line}", plain_name(line))


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        first()
        second()

    return both


def _page(
    workspace: Workspace, page: PageSettings | None, engine: str, cameras: Sequence[Camera], given: Mapping[str, Any]
) -> LivePageSink | None:
    if page is None:
        return None
    live = {each.name: each.live for each in cameras}
    return LivePageSink(page, open_access(workspace.root, page), engine, live, "threshold" in given)


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
