"""`modbus://192.168.1.10:502/coil/3?unit=1`: a coil of a PLC or of a remote output."""

from __future__ import annotations

from types import TracebackType

from aand_edge.errors import GateError
from aand_edge.runtime.modbus import ModbusLink, ModbusPlace

REFRESH_S = 1.0


class ModbusGate:
    """A set coil rejects; with `active_low`, one that is not set. A PLC that is away is no reason not to start.

    The coil is written again every second: a PLC that was switched on meanwhile learns the position, a connection
    that broke is found before a part needs it, and an output with a Modbus watchdog may take silence for a fault.
    """

    refresh_s: float | None = REFRESH_S

    def __init__(self, place: ModbusPlace, active_low: bool = False) -> None:
        """Raises MissingDependencyError where pymodbus is not installed."""
        self.name = str(place)
        self._link, self._active_low = ModbusLink(place), active_low

    def __enter__(self) -> ModbusGate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close()

    def set(self, rejecting: bool) -> None:
        try:
            self._link.write(rejecting != self._active_low)
        except ConnectionError as error:
            raise GateError(str(error), "Check its address, its cable and whether it is on.") from None

    def interrupt(self) -> None:
        self._link.interrupt()
