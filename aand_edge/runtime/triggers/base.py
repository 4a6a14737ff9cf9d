"""What every trigger offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aand_edge.runtime.frame import Call, Frame

Missed = Callable[[Call, str], None]  # a part that no frame shows, and why; from any thread


class Trigger(Protocol):
    """Decides on a camera's own thread, frame by frame and in order, which of them show a part that is due."""

    def start(self, missed: Missed) -> None:
        """Begin to listen. Raises UsageError where that can never be."""

    def due(self, frame: Frame) -> Frame | None:
        """The frame as it is to be judged, with the call that it answers; None where no part is due.

        Takes well under a millisecond.
        """

    def stop(self) -> None:
        """Listen no more; parts that still wait for a frame are missed. May be called twice."""
