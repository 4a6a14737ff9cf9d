"""Edges on a pin of a Jetson's 40-pin header: triggers and encoder pulses."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

from aand_edge.errors import MissingDependencyError, UsageError

Edge = Literal["rising", "falling"]

POLL_S = 0.05  # how soon Jetson.GPIO's thread sees that it is to end


class Edges:
    """Tells each edge of an input, in a thread of Jetson.GPIO's own."""

    def __init__(self, pin: int, edge: Edge = "rising", debounce_ms: int = 0) -> None:
        """Raises MissingDependencyError where Jetson.GPIO is not installed or this is no Jetson."""
        self.name = f"gpio://{pin}"
        self._pin, self._edge, self._debounce = pin, edge, debounce_ms
        self._gpio = jetson_gpio(self.name)

    def open(self, told: Callable[[float], object]) -> None:
        """`told` is called at each edge with its moment, monotonic seconds. Raises UsageError for what is no input."""
        gpio = self._gpio
        try:
            gpio.setmode(gpio.BOARD)
            gpio.setup(self._pin, gpio.IN)
            gpio.add_event_detect(
                self._pin,
                gpio.RISING if self._edge == "rising" else gpio.FALLING,
                callback=lambda channel: told(time.monotonic()),
                bouncetime=self._debounce or None,
                polltime=POLL_S,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise UsageError(f"{self.name} cannot be read: {error}", "Check the pin and the group gpio.") from None

    def close(self) -> None:
        """The pin stays an input: Jetson.GPIO's `cleanup` would close the chip under the other pins."""
        self._gpio.remove_event_detect(self._pin, timeout=2 * POLL_S)


def jetson_gpio(name: str) -> Any:
    """The package. Raises MissingDependencyError, naming what needs it."""
    try:
        return import_module("Jetson.GPIO")
    except Exception as error:  # on other machines it raises when it is imported
        raise MissingDependencyError(
            f"{name} needs Jetson.GPIO ({error})", "On a Jetson run `pip install 'aand-edge[gpio]'`."
        ) from None
