"""`simulated:500`: so many pulses a second, for a try without a belt."""

from __future__ import annotations

import threading
import time

from aand_edge.runtime.encoders.base import Pulses
from aand_edge.runtime.stopping import Deadline

TICK_S = 0.005


class SimulatedEncoder:
    """A belt at a steady speed."""

    def __init__(self, rate: float) -> None:
        self.name = f"simulated:{rate:g}"
        self._rate = rate
        self._stop = threading.Event()

    def start(self, pulses: Pulses) -> None:
        self._thread = threading.Thread(target=self._work, args=(pulses,), name="aand-encoder", daemon=True)
        self._thread.start()

    def stop(self, end: Deadline) -> None:
        self._stop.set()
        self._thread.join(end.left)

    def _work(self, pulses: Pulses) -> None:
        start, told = time.monotonic(), 0
        pulses.counted(start, 0)
        while not self._stop.wait(TICK_S):
            moment = time.monotonic()
            count = int((moment - start) * self._rate)
            pulses.counted(moment, count - told)
            told = count
