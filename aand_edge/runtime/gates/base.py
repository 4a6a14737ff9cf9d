"""What every gate offers."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol


class Gate(Protocol):
    """An actuator with two positions. Entering connects it, leaving it disconnects; it is never left half-way."""

    name: str

    def __enter__(self) -> Gate: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def set(self, rejecting: bool) -> None:
        """True: parts are pushed off. Returns when the actuator was told; raises GateError where it cannot be."""
