"""What goes wrong when: first and then every so many seconds."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from aand_edge.config import FILE
from aand_edge.runtime.loop import Loop
from benchmarks.soak.faults import Balloon, Broker, Counts, SteppingClock
from benchmarks.soak.growth import Growth

SETTINGS = ("[run]\n", "[run]\nthreshold = 0.5\n", "[run]\nfail_safe = 'pass'\n", "[run\n")
STEPS = (timedelta(hours=-1), timedelta(days=1), timedelta(0))
Step = tuple[float, float, Callable[[], None]]


def plan(counts: Counts, work: Path, engine: Path | None, balloon: Balloon, broker: Broker | None) -> list[Step]:
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

    steps: list[Step] = [(20, 20, storm), (25, 30, step)]
    if engine is not None:
        steps += [(35, 70, rebuild)]
    if balloon.possible:
        steps += [(15, 30, balloon.fill), (18, 30, balloon.empty)]
    if broker is not None:
        steps += [(30, 40, broker.kill), (36, 40, broker.start)]
    return steps


def conduct(loop: Loop, seconds: float, growth: Growth, schedule: list[Step], ended: threading.Event) -> None:
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
