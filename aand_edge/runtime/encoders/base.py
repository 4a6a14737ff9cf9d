"""What every encoder offers."""

from __future__ import annotations

from typing import Protocol

from aand_edge.runtime.stopping import Deadline


class Pulses(Protocol):
    """Who is told of the travel, from the encoder's own thread; `belt.CountedBelt`."""

    def counted(self, moment: float, pulses: int) -> None:
        """So many more pulses, seen at that moment (monotonic seconds); 0 where the belt stood.

        The first call only tells that it counts from now on.
        """

    def lost(self, reason: str) -> None:
        """The count is not known, or not any more; it goes on with the next `counted`."""


class Encoder(Protocol):
    """Counts pulses of the belt from `start` to `stop`."""

    name: str

    def start(self, pulses: Pulses) -> None:
        """Raises UsageError where it can never be read."""

    def stop(self, end: Deadline) -> None:
        """End; what has not ended by then is left to end with the process."""
