"""Pins of a Jetson that a test moves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Pins:
    """A stand-in with the calls of Jetson.GPIO that inputs need."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.callbacks: dict[int, Callable[[int], None]] = {}
        gpio = SimpleNamespace(
            BOARD="BOARD",
            IN="IN",
            RISING="RISING",
            FALLING="FALLING",
            setmode=lambda mode: self.seen.append(("mode", mode)),
            setup=self._setup,
            add_event_detect=self._add,
            remove_event_detect=lambda pin, timeout: self.callbacks.pop(pin),
        )
        monkeypatch.setitem(sys.modules, "Jetson", ModuleType("Jetson"))
        monkeypatch.setitem(sys.modules, "Jetson.GPIO", gpio)  # type: ignore[arg-type]

    def _setup(self, pin: int, way: str) -> None:
        if pin == 1:
            raise ValueError("Channel 1 is invalid")
        self.seen.append((pin, way))

    def _add(
        self, pin: int, edge: str, callback: Callable[[int], None], bouncetime: int | None, polltime: float
    ) -> None:
        self.seen.append((pin, edge, bouncetime))
        self.callbacks[pin] = callback
