"""`gpio://18`: a pin of a Jetson's 40-pin header, by its number on the board."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from aand_edge.errors import GateError
from aand_edge.runtime.edges import jetson_gpio


class GpioGate:
    """High rejects; with `active_low`, low does. Left, the pin is let go, and the board pulls it to its default."""

    refresh_s: float | None = None

    def __init__(self, pin: int, active_low: bool = False) -> None:
        """Raises MissingDependencyError where Jetson.GPIO is not installed or this is no Jetson."""
        self.name = f"gpio://{pin}"
        self._pin, self._active_low = pin, active_low
        self._gpio = jetson_gpio(self.name)

    def __enter__(self) -> GpioGate:
        try:
            self._gpio.setmode(self._gpio.BOARD)
            self._gpio.setup(self._pin, self._gpio.OUT, initial=self._level(rejecting=False))
        except (RuntimeError, ValueError, OSError) as error:
            raise GateError(f"{self.name} cannot be used: {error}", "Check the pin and the group gpio.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gpio.cleanup(self._pin)

    def set(self, rejecting: bool) -> None:
        try:
            self._gpio.output(self._pin, self._level(rejecting))
        except (RuntimeError, OSError) as error:
            raise GateError(f"{self.name} does not answer: {error}", "Check its wiring.") from None

    def interrupt(self) -> None:
        """A pin answers at once."""

    def _level(self, rejecting: bool) -> Any:
        return self._gpio.HIGH if rejecting != self._active_low else self._gpio.LOW
