"""What every source offers. A source knows how to open and read; `camera.Camera` keeps it alive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aand_edge.runtime.frame import Picture


@dataclass(frozen=True)
class Grab:
    """What one read gave: a picture and the moment it was captured, not yet numbered. Fields as in `Frame`."""

    picture: Picture
    captured: float
    time: datetime
    name: str | None = None
    truth: bool | None = None


class Source(Protocol):
    """A camera, a stream or files.

    live   True where the world does not wait: the newest frame counts. False for files: none may be lost.
    """

    live: bool

    def open(self) -> None:
        """Raises SourceError where it cannot be opened now, UsageError or MissingDependencyError where it never can."""

    def read(self) -> Grab | None:
        """The next picture, or None at the end; may block.

        Raises DataError for one picture that is none (the next may be), SourceError where the source is lost.
        """

    def close(self) -> None:
        """Gives the device back; called once after `open`, also after an error."""
