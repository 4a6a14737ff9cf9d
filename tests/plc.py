"""A real Modbus server for tests, that goes away and comes back."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

COILS, REGISTERS = 8, 16  # how many there are
READS_REGISTERS = (3, 4)  # function codes


class Plc:
    """Unit 1 with coils and registers, from address 0 on.

    coil     what was written to coil 3, and when
    count    what registers 6 and 7 hold, the high one first, and 7 alone
    """

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.coil: list[tuple[float, bool]] = []
        self.count = 0
        self.deaf = False

    @property
    def positions(self) -> list[bool]:
        return [on for _, on in self.coil]

    def start(self) -> None:
        """Comes back with every coil off."""
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        assert started.wait(20)

    def stop(self) -> None:
        """As one that is switched off: connections break."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        registers = [SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)]
        device = SimDevice(1, simdata=(bits, bits, registers, registers), action=self._asked)
        server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await server.serve_forever(background=True)
        started.set()
        await self._ended.wait()
        await server.shutdown()

    async def _asked(self, code: int, start: int, address: int, count: int, current: Any, values: Any) -> None:
        while self.deaf:
            await asyncio.sleep(0.01)
        if values is not None and address == 3:
            self.coil.append((time.monotonic(), bool(values[0])))
        if code in READS_REGISTERS:
            current[6 - start], current[7 - start] = self.count >> 16 & 0xFFFF, self.count & 0xFFFF
