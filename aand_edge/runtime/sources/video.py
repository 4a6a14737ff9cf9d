"""`file://clip.mp4`, or a path: a video, from its first frame to its last."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import cv2

from aand_edge.errors import SourceError, UsageError
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options
from aand_edge.runtime.sources.capture import Capture

SUFFIXES = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".h264", ".hevc"}
)
# Files that say how many frames they hold, and those that say how long they last. The others know neither.
COUNTED, TIMED = frozenset({".mp4", ".m4v", ".mov", ".avi"}), frozenset({".mkv", ".webm"})


class VideoSource:
    """A file. It is read as fast as its frames are taken, or at `rate`; none is lost.

    One that ends before the end that it speaks of has broken off, within a frame (`COUNTED`) or a second (`TIMED`,
    whose sound may last longer).
    """

    live = False

    def __init__(self, path: Path, options: SourceOptions) -> None:
        refuse_options("a video file", options, "rate")
        if not path.is_file():
            raise UsageError(f"There is no video {path}", "Check the path.")
        self._path, self._interval = path, 1 / options.rate if options.rate else 0.0
        self._capture: Capture | None = None
        self._rate: float | None = None
        self._due = self._moment = 0.0
        self._frames = 0  # that were read

    def open(self) -> None:
        told, hint = f"The video {self._path}", "It is no video, or damaged: see whether a player shows it."
        self._capture = Capture(str(self._path), cv2.CAP_FFMPEG, {}, told, hint)
        self._rate = self._capture.rate
        self._due, self._frames = time.monotonic(), 0

    def read(self) -> Grab | None:
        assert self._capture is not None
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + self._interval, time.monotonic() - 1)
        grab = self._capture.read()
        if grab is None:
            self._check_end(self._capture.frames)
            return None
        self._frames, self._moment = self._frames + 1, self._capture.moment
        return replace(grab, rate=1 / self._interval if self._interval else self._rate)

    def _check_end(self, wanted: int | None) -> None:
        """Raises SourceError where frames are missing of those that the file speaks of."""
        suffix, rate = self._path.suffix.lower(), self._rate
        if wanted is None or rate is None or suffix not in COUNTED | TIMED:
            return
        # How many a file that says how long it lasts holds is reckoned from its rate: so is how far it came.
        came, slack = (self._frames, 1.0) if suffix in COUNTED else (self._moment * rate + 1, rate)
        if wanted - came > slack:
            raise SourceError(
                f"The video {self._path} broke off after {self._frames} of {wanted} frames",
                "It is damaged, or was cut: see whether a player shows the rest.",
            )

    def close(self) -> None:
        if self._capture is not None:
            self._capture.close()
