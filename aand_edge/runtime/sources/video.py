"""`file://clip.mp4`, or a path: a video, from its first frame to its last."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import cv2

from aand_edge.errors import UsageError
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options
from aand_edge.runtime.sources.capture import Capture

SUFFIXES = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".h264", ".hevc"}
)


class VideoSource:
    """A file. It is read as fast as its frames are taken, or at `rate`; none is lost."""

    live = False

    def __init__(self, path: Path, options: SourceOptions) -> None:
        refuse_options("a video file", options, "rate")
        if not path.is_file():
            raise UsageError(f"There is no video {path}", "Check the path.")
        self._path, self._interval = path, 1 / options.rate if options.rate else 0.0
        self._capture: Capture | None = None
        self._rate: float | None = None
        self._due = 0.0

    def open(self) -> None:
        told, hint = f"The video {self._path}", "It is no video, or damaged: see whether a player shows it."
        self._capture = Capture(str(self._path), cv2.CAP_FFMPEG, {}, told, hint)
        self._rate = self._capture.rate
        self._due = time.monotonic()

    def read(self) -> Grab | None:
        assert self._capture is not None
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + self._interval, time.monotonic() - 1)
        grab = self._capture.read()
        return None if grab is None else replace(grab, rate=1 / self._interval if self._interval else self._rate)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.close()
