"""What calls: a wire, a topic, a port. Several cameras around one part hear the same."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

PART = 128  # characters of a part's id that are kept

Hearer = Callable[[float, "str | None"], bool]  # moment on the monotonic clock, the part's id; whether it is taken


class Line(ABC):
    """Open while somebody hears it."""

    def __init__(self) -> None:
        self._hearers: list[Hearer] = []
        self._changing = threading.Lock()

    def join(self, hearer: Hearer) -> None:
        """Hear every call from now on. Raises what `_open` raises."""
        with self._changing:
            if not self._hearers:
                self._open()
            self._hearers = [*self._hearers, hearer]

    def leave(self, hearer: Hearer) -> None:
        """Hear no more."""
        with self._changing:
            if hearer in self._hearers:
                self._hearers = [each for each in self._hearers if each != hearer]
                if not self._hearers:
                    self._close()

    def _called(self, moment: float, part: str | None = None) -> bool:
        """Tell everyone; whether all took it. From one thread."""
        taken = [hearer(moment, part) for hearer in self._hearers]
        return all(taken)

    @abstractmethod
    def _open(self) -> None:
        """Begin to listen in a thread. Raises UsageError where that can never be."""

    @abstractmethod
    def _close(self) -> None:
        """End it, within a second."""


def part_id(message: bytes) -> str | None:
    """What a message says of the part: its text, if there is any."""
    return message.decode("utf-8", "replace").strip()[:PART] or None
