"""What every gate offers."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol


class Gate(Protocol):
    """An actuator with two positions. Entering connects it, leaving it disconnects; it is never left half-way.

    refresh_s   how often it is told its position though that has not changed; None: never
    """

    name: str
    refresh_s: float | None

    def __enter__(self) -> Gate: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def set(self, rejecting: bool) -> None:
        """True: parts are pushed off. Returns when the actuator was told; raises GateError where it cannot be."""

    def interrupt(self) -> None:
        """End a `set` that waits for an answer, from another thread: it raises GateError there."""
