"""`modbus://192.168.1.10/holding/7?bits=16`: a counter that a PLC keeps of the belt's encoder."""

from __future__ import annotations

import threading
import time

from aand_edge.runtime.encoders.base import Pulses
from aand_edge.runtime.modbus import ModbusLink, ModbusPlace
from aand_edge.runtime.stopping import Deadline

REGISTER = 65536
TRUST_S = 2.0  # a counter that was silent for longer may have begun anew
RETRY_S = 0.2


class ModbusEncoder:
    """Reads the counter again and again. It may run over, and backwards.

    wide     two registers, the high one first
    poll_s   between two readings
    """

    def __init__(self, place: ModbusPlace, wide: bool = False, poll_s: float = 0.01) -> None:
        """Raises MissingDependencyError where pymodbus is not installed."""
        self.name = str(place)
        self._link, self._wide, self._poll = ModbusLink(place), wide, poll_s
        self._stop = threading.Event()

    def start(self, pulses: Pulses) -> None:
        self._thread = threading.Thread(target=self._work, args=(pulses,), name="aand-encoder", daemon=True)
        self._thread.start()

    def stop(self, end: Deadline) -> None:
        self._stop.set()
        self._link.interrupt()
        self._thread.join(end.left)

    def _work(self, pulses: Pulses) -> None:
        last: int | None = None
        seen, away = time.monotonic(), False
        while not self._stop.is_set():
            try:
                count = self._count()
            except Exception as error:  # whatever it is, the counter is tried again, and that it is away is told
                if not away and time.monotonic() - seen > TRUST_S:
                    last, away = None, True
                    pulses.lost(str(error))
                self._stop.wait(RETRY_S)
                continue
            seen, away = time.monotonic(), False
            pulses.counted(seen, 0 if last is None else self._since(last, count))
            last = count
            self._stop.wait(self._poll)
        self._link.close()

    def _count(self) -> int:
        registers = self._link.read(2 if self._wide else 1)
        return registers[0] * REGISTER + registers[1] if self._wide else registers[0]

    def _since(self, last: int, count: int) -> int:
        """The shorter way round a counter that runs over."""
        around = REGISTER**2 if self._wide else REGISTER
        forwards = (count - last) % around
        return forwards if forwards < around // 2 else forwards - around
