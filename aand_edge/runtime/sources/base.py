"""What every source offers. A source knows how to open and read; `camera.Camera` keeps it alive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, Protocol

import numpy as np

from aand_edge.errors import MissingDependencyError, SourceError, UsageError
from aand_edge.runtime.frame import Picture

NEVER = (UsageError, MissingDependencyError)  # what `Source.open` raises where it never can


@dataclass(frozen=True)
class SourceOptions:
    """How a source is to be read; None leaves it as it is.

    size      width and height that the camera is asked for
    rate      frames a second that the camera is asked for, or that a file is played at
    exposure  in the driver's own unit
    flip      how the camera hangs
    roi       x, y, width, height: the part of each picture that is kept, after flipping
    follow    go on with the pictures that come into a folder later
    """

    size: tuple[int, int] | None = None
    rate: float | None = None
    exposure: float | None = None
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    roi: tuple[int, int, int, int] | None = None
    follow: bool = False


class StalledError(SourceError):
    """A read passed its deadline."""


@dataclass(frozen=True)
class Grab:
    """What one read gave: a picture and the moment it was captured, not yet numbered. Fields as in `Frame`.

    picture   empty where none came yet, and the reader only looked
    skipped   pictures that the camera gave since the last read and that nobody took
    rate      as in `Frame`
    away      why the source has nothing to give for a while, though it is not broken: a folder that was taken away
    """

    picture: Picture
    captured: float
    time: datetime
    name: str | None = None
    truth: bool | None = None
    skipped: int = 0
    rate: float | None = None
    away: str | None = None

    @classmethod
    def now(cls, picture: Picture, name: str | None = None, truth: bool | None = None) -> Grab:
        """A picture that was captured this moment."""
        return cls(picture, time.monotonic(), datetime.now(timezone.utc), name, truth)

    @classmethod
    def nothing(cls) -> Grab:
        """This moment, and no picture: the reader only looked, or what was captured is not decoded yet."""
        return cls.now(np.empty((0, 0, 3), np.uint8))


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


def refuse_options(kind: str, options: SourceOptions, *had: str) -> None:
    """Raises UsageError for an option that this kind of source does not have; flip and roi all of them have."""
    default = SourceOptions()
    for name, value in options.__dict__.items():
        if name not in ("flip", "roi", *had) and value != getattr(default, name):
            raise UsageError(f"--{name} has no effect on {kind}", "Leave it out.")
