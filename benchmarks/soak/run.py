"""A soak: the loop with faults in all that is beside it, from its start to what became of every frame."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from aand_edge.artifacts import EngineManifest
from aand_edge.bench.device import describe_device
from aand_edge.config import FILE, PageSettings
from aand_edge.engines.load import load_engine
from aand_edge.runtime import events, live_engine
from aand_edge.runtime.allocator import few_arenas
from aand_edge.runtime.belt import SteadyBelt
from aand_edge.runtime.conveyor import Conveyor, Travel
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.drift import DriftMonitor
from aand_edge.runtime.events import Event
from aand_edge.runtime.gates.simulated import SimulatedGate
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.loop import Loop, LoopSettings
from aand_edge.runtime.mailbox import Mailbox, Policy
from aand_edge.runtime.mqtt import MqttBroker
from aand_edge.runtime.reload import Reloader
from aand_edge.runtime.sinks.base import Sink
from aand_edge.runtime.sinks.jsonl import JsonlSink
from aand_edge.runtime.sinks.live_page import LivePageSink
from aand_edge.runtime.sinks.metrics import MetricsSink
from aand_edge.runtime.sinks.rejects import RejectsSink
from aand_edge.runtime.sinks.video import VideoSink
from aand_edge.runtime.sources import base
from aand_edge.runtime.sources import camera as cameras
from aand_edge.runtime.sources.camera import Camera
from aand_edge.runtime.station import SINKS_WITH_PICTURES, signals
from benchmarks.soak.cameras import ChildCamera, FaultyCamera
from benchmarks.soak.faults import (
    Balloon,
    Broker,
    CountedMqtt,
    Counts,
    FaultyRunner,
    SteppingClock,
    Troubled,
    mosquitto,
)
from benchmarks.soak.growth import Growth
from benchmarks.soak.schedule import Step, conduct, plan
from benchmarks.soak.visitors import Visitors

ENGINE_FAILS_EVERY = 400  # calls
WITH_PICTURES = ("slow", *SINKS_WITH_PICTURES)
RATE = 100  # frames a second of the camera that drops


@dataclass(frozen=True)
class Line:
    """The loop, and what is asked about it in the end."""

    loop: Loop
    live: LiveEngine
    reloader: Reloader
    sources: dict[str, FaultyCamera | ChildCamera]
    sinks: list[Sink]
    outlets: list[Outlet]


def soak(engine: Path, seconds: float, out: Path, fails_every: int = ENGINE_FAILS_EVERY) -> dict[str, Any]:
    """Run it for so long, and say what became of every frame; the record lies in `out`.

    fails_every   calls of the engine; 0: it never fails, and none is built anew
    """
    few_arenas()  # as `run_station` does
    counts: Counts = Counter()
    growth, dead = Growth(seconds), list[str]()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(_faulty_engines(counts, fails_every))
        live = stack.enter_context(LiveEngine(copy := _copied(engine, work)))
        broker = stack.enter_context(_broker(work, counts))
        line = _line(stack, live, work, counts, _sinks(out, counts, broker))
        balloon = Balloon(out, counts)  # now that the sinks have made its folder
        steps = plan(counts, work, copy if fails_every else None, balloon, broker)
        stack.enter_context(mock.patch.object(threading, "excepthook", lambda each: dead.append(str(each.exc_value))))
        summary = _run(line, seconds, growth, steps)
        balloon.empty()
        restarts = live.restarts
    return {
        **_fates(line, summary),
        "injected": dict(sorted(counts.items())),
        "not_injected": _not_injected(balloon, broker),
        "engine_restarts": restarts,
        "torn_lines": _torn_lines(out),
        "dead_threads": dead,
        "growth": growth.to_dict(),
        "device": describe_device(),
    }


def _line(stack: ExitStack, live: LiveEngine, work: Path, counts: Counts, sinks: list[Sink]) -> Line:
    """Three cameras, the sinks, the page with its visitors, a gate, and settings in `work` that may change."""
    late: list[Callable[[Event], None]] = []

    def tell(event: Event) -> None:
        late[0](event)

    sources: dict[str, FaultyCamera | ChildCamera] = {
        "line": FaultyCamera(0, RATE, counts),
        "files": FaultyCamera(1, 0, counts),
        "child": ChildCamera(counts),
    }
    mailbox = Mailbox({"line": Policy.NEWEST, "files": Policy.LOSSLESS, "child": Policy.NEWEST})
    ready = [Camera(name, f"test://{name}", mailbox.put, source=each) for name, each in sources.items()]
    metrics = MetricsSink(port=0)
    page = LivePageSink(
        PageSettings(port=0), Access(None, frozenset()), live.manifest.name, dict.fromkeys(sources, True)
    )
    sinks = [metrics, page, *sinks]
    outlets = [stack.enter_context(Outlet(sink, sink.name in WITH_PICTURES, False, tell)) for sink in sinks]
    stack.enter_context(Visitors(page.port, metrics.port, counts))
    gate = stack.enter_context(Conveyor(SimulatedGate(), SteadyBelt(250), Travel(50), tell))
    reloader = Reloader(work, work / FILE, live, ready, {"deadline_ms": 200}, tell)
    monitor = DriftMonitor(lambda: live.manifest, 100, 1e-4)
    loop = Loop(live, mailbox, ready, outlets, LoopSettings(deadline_ms=200), gate, reloader, monitor)
    late.append(loop.publish)
    return Line(loop, live, reloader, sources, sinks, outlets)


def _run(line: Line, seconds: float, growth: Growth, steps: list[Step]) -> dict[str, Any]:
    """The loop's own summary."""
    ended = threading.Event()
    conductor = threading.Thread(target=conduct, args=(line.loop, seconds, growth, steps, ended))
    with signals(line.loop.stop, line.reloader.request):
        conductor.start()
        try:
            return line.loop.run().to_dict()
        finally:
            ended.set()
            conductor.join()


def _fates(line: Line, summary: dict[str, Any]) -> dict[str, Any]:
    """What became of frames, events and messages, as plain values."""
    kept = ("judged", "dropped", "failed", "late", "reconnects", "gate_missed", "latency_ms", "inference_ms", "loop_ms")
    return {
        "seconds": round(summary["seconds"], 1),
        "given": sum(each.given for each in line.sources.values()),
        "accounted": summary["judged"] + summary["dropped"] + summary["failed"],
        **{key: summary[key] for key in kept},
        "sinks": {outlet.name: {"left_out": outlet.lost, "failed": outlet.failures} for outlet in line.outlets},
        "mqtt": _messages(line.sinks),
    }


@contextmanager
def _faulty_engines(counts: Counts, fails_every: int) -> Iterator[None]:
    """Every engine that the loop opens fails in the end, cameras come back at once, and the clock can be moved."""

    def faulty(path: Path) -> tuple[EngineManifest, FaultyRunner]:
        manifest, runner = load_engine(path)
        return manifest, FaultyRunner(runner, counts, fails_every)

    with (
        mock.patch.object(live_engine, "load_engine", faulty),
        mock.patch.object(cameras, "BACKOFF_S", (0.02, 0.1)),
        mock.patch.object(events, "datetime", SteppingClock),
        mock.patch.object(base, "datetime", SteppingClock),
    ):
        yield
        SteppingClock.step = timedelta(0)


def _copied(engine: Path, folder: Path) -> Path:
    """An engine's manifest that may be touched, as a new build would."""
    manifest = EngineManifest.read(engine)
    shutil.copy(engine.parent / manifest.engine, folder)
    return Path(shutil.copy(engine, folder))


@contextmanager
def _broker(folder: Path, counts: Counts) -> Iterator[Broker | None]:
    broker = Broker(folder, counts) if mosquitto() else None
    if broker is not None:
        broker.start()
    yield broker
    if broker is not None:
        broker.kill()


def _sinks(out: Path, counts: Counts, broker: Broker | None) -> list[Sink]:
    sinks: list[Sink] = [
        JsonlSink(out, max_mb=1, keep_mb=4),
        RejectsSink(out / "rejects", quota_mb=4),
        VideoSink(out / "video.mp4", minutes=0.5, keep_mb=8, spare_bytes=2_000_000),
        *(Troubled(name, counts) for name in ("slow", "failing")),
    ]
    if broker is not None:
        sinks.append(CountedMqtt(MqttBroker("127.0.0.1", broker.port), queue=out / "mqtt.db", queue_mb=8))
    return sinks


def _not_injected(balloon: Balloon, broker: Broker | None) -> list[str]:
    absent = [] if balloon.possible else ["disk full: the record's disk is larger than 1 GB"]
    return absent if broker is not None else [*absent, "broker away: mosquitto is not installed"]


def _messages(sinks: list[Sink]) -> dict[str, int]:
    """What became of the events that were for the broker."""
    for sink in sinks:
        if isinstance(sink, CountedMqtt):
            names = ("given", "sent", "waiting", "dropped", "refused")
            return {name: int(getattr(sink, name)) for name in names}
    return {}


def _torn_lines(folder: Path) -> int:
    """Lines of the record that are no JSON."""
    torn = 0
    for path in folder.glob("verdicts*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                json.loads(line)
            except ValueError:
                torn += 1
    return torn
