"""Leave the loop running with faults injected, and account for every frame.

    python -m benchmarks.soak WORKSPACE/engines/NAME.json --record EMPTY-FOLDER --seconds 3600 \
        --out benchmarks/results/soak

Three cameras of rendered parts at full speed: one drops what it cannot judge, one waits, and one is read in a process
of its own. Injected: torn JPEG, pictures of another size, stalls, lost connections, a driver that blocks or crashes,
a wall clock that steps, an engine that fails and one that is built anew, a sink that is slow and one that fails, a
broker (mosquitto, where it is installed) that is killed and brought back, and storms of SIGHUP with settings that
change and at times are broken. A browser looks at the page and Prometheus at the figures, and both leave without a
word. Where the record lies on a disk of its own of less than 1 GB, that is filled up at
times: `mount -t tmpfs -o size=64m tmpfs EMPTY-FOLDER`.

At the end every frame that a camera gave must be judged, dropped or failed, every message for the broker sent, waiting,
dropped or refused; no line of the record may be torn and no thread dead; memory, descriptors and threads must not have
grown (`soak_report.faults` says by how much). Each fault is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from aand_edge.artifacts import EngineManifest, write_json, write_text
from aand_edge.bench.device import describe_device
from aand_edge.config import FILE, PageSettings
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
from benchmarks.faults import (
    Balloon,
    Broker,
    ChildCamera,
    CountedMqtt,
    Counts,
    FaultyCamera,
    FaultyRunner,
    SteppingClock,
    Troubled,
    mosquitto,
)
from benchmarks.growth import Growth
from benchmarks.soak_report import faults, markdown
from benchmarks.visitors import Visitors

ENGINE_FAILS_EVERY = 400  # calls
SETTINGS = ("[run]\n", "[run]\nthreshold = 0.5\n", "[run]\nfail_safe = 'pass'\n", "[run\n")
STEPS = (timedelta(hours=-1), timedelta(days=1), timedelta(0))
WITH_PICTURES = ("slow", *SINKS_WITH_PICTURES)
RATE = 100  # frames a second of the camera that drops


def soak(engine: Path, seconds: float, out: Path, fails_every: int = ENGINE_FAILS_EVERY) -> dict[str, Any]:
    """Run it; the record lies in `out`."""
    few_arenas()  # as `run_station` does
    counts: Counts = Counter()
    sources = {"line": FaultyCamera(0, RATE, counts), "files": FaultyCamera(1, 0, counts), "child": ChildCamera(counts)}
    policies = {"line": Policy.NEWEST, "files": Policy.LOSSLESS, "child": Policy.NEWEST}
    late: list[Callable[[Event], None]] = []

    def tell(event: Event) -> None:
        late[0](event)

    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(_faulty_engines(counts, fails_every))
        live = stack.enter_context(LiveEngine(_copied(engine, work)))
        mailbox = Mailbox(policies)
        ready = [Camera(name, f"test://{name}", mailbox.put, source=each) for name, each in sources.items()]
        broker = stack.enter_context(_broker(work, counts))
        metrics = MetricsSink(port=0)
        page = LivePageSink(PageSettings(port=0), Access(None, frozenset()), engine.stem, dict.fromkeys(sources, True))
        sinks = [metrics, page, *_sinks(out, counts, broker)]
        outlets = [stack.enter_context(Outlet(sink, sink.name in WITH_PICTURES, False, tell)) for sink in sinks]
        stack.enter_context(Visitors(page.port, metrics.port, counts))
        gate = stack.enter_context(Conveyor(SimulatedGate(), SteadyBelt(250), Travel(50), tell))
        reloader = Reloader(work, work / FILE, live, ready, {"deadline_ms": 200}, tell)
        monitor = DriftMonitor(lambda: live.manifest, 100, 1e-4)
        loop = Loop(live, mailbox, ready, outlets, LoopSettings(deadline_ms=200), gate, reloader, monitor)
        late.append(loop.publish)
        growth = Growth(seconds)
        balloon = Balloon(out, counts)
        schedule = _schedule(counts, work, live.path if fails_every else None, balloon, broker)
        ended = threading.Event()
        conductor = threading.Thread(target=_conduct, args=(loop, seconds, growth, schedule, ended))
        dead: list[str] = []
        stack.enter_context(mock.patch.object(threading, "excepthook", lambda each: dead.append(str(each.exc_value))))
        with signals(loop.stop, reloader.request):
            conductor.start()
            try:
                tally = loop.run()
            finally:
                ended.set()
                conductor.join()
        balloon.empty()
        restarts = live.restarts
    given = sum(each.given for each in sources.values())
    summary = tally.to_dict()
    return {
        "seconds": round(summary["seconds"], 1),
        "given": given,
        "accounted": summary["judged"] + summary["dropped"] + summary["failed"],
        **{key: summary[key] for key in ("judged", "dropped", "failed", "late", "reconnects", "gate_missed")},
        "injected": dict(sorted(counts.items())),
        "not_injected": _not_injected(balloon, broker),
        "engine_restarts": restarts,
        "sinks": {outlet.name: {"left_out": outlet.lost, "failed": outlet.failures} for outlet in outlets},
        "mqtt": _messages(sinks),
        "torn_lines": _torn_lines(out),
        "dead_threads": dead,
        "growth": growth.to_dict(),
        "latency_ms": summary["latency_ms"],
        "inference_ms": summary["inference_ms"],
        "loop_ms": summary["loop_ms"],
        "device": describe_device(),
    }


@contextmanager
def _faulty_engines(counts: Counts, fails_every: int) -> Iterator[None]:
    """Every engine that the loop opens fails in the end, cameras come back at once, and the clock can be moved."""
    load = live_engine.load_engine

    def faulty(path: Path) -> tuple[EngineManifest, FaultyRunner]:
        manifest, runner = load(path)
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
        sinks.append(CountedMqtt("127.0.0.1", broker.port, queue=out / "mqtt.db", queue_mb=8))
    return sinks


Step = tuple[float, float, Callable[[], None]]


def _schedule(counts: Counts, work: Path, engine: Path | None, balloon: Balloon, broker: Broker | None) -> list[Step]:
    """What happens, first and then every so many seconds. Without an engine's path none is built anew."""

    def storm() -> None:
        counts["SIGHUP"] += 100
        (work / FILE).write_text(SETTINGS[counts["SIGHUP"] // 100 % len(SETTINGS)])
        for _ in range(100):
            os.kill(os.getpid(), signal.SIGHUP)

    def step() -> None:
        counts["clock step"] += 1
        SteppingClock.step = STEPS[counts["clock step"] % len(STEPS)]

    def rebuild() -> None:
        assert engine is not None
        counts["new build"] += 1
        os.utime(engine)

    schedule: list[Step] = [(20, 20, storm), (25, 30, step)]
    if engine is not None:
        schedule += [(35, 70, rebuild)]
    if balloon.possible:
        schedule += [(15, 30, balloon.fill), (18, 30, balloon.empty)]
    if broker is not None:
        schedule += [(30, 40, broker.kill), (36, 40, broker.start)]
    return schedule


def _conduct(loop: Loop, seconds: float, growth: Growth, schedule: list[Step], ended: threading.Event) -> None:
    """Measure, let things go wrong, and end it. A short soak has everything in less time."""
    pace, start = min(1.0, seconds / 60), time.monotonic()
    due = [first * pace for first, _, _ in schedule]
    while not ended.wait(0.1 * pace) and (elapsed := time.monotonic() - start) < seconds:
        growth.sample()
        for index, (_, every, action) in enumerate(schedule):
            if elapsed > due[index]:
                due[index] += every * pace
                action()
    loop.stop()


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument(
        "--engine-fails-every", type=int, default=ENGINE_FAILS_EVERY, help="calls; 0: neither that nor new builds"
    )
    parser.add_argument("--record", type=Path, required=True, help="an empty folder for what the sinks write")
    parser.add_argument("--out", type=Path, required=True, help="without a suffix: .json and .md are written")
    options = parser.parse_args()
    logging.getLogger("aand_edge").addHandler(logging.NullHandler())  # the record has it, and it is much
    result = soak(options.engine, options.seconds, options.record, options.engine_fails_every)
    write_json(options.out.with_suffix(".json"), result)
    write_text(options.out.with_suffix(".md"), markdown(result))
    print(markdown(result))
    if found := faults(result):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
