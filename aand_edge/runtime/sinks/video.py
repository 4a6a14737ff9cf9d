"""An overlay video of each camera, in files that can be played while the next one is written."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import TracebackType

import cv2
import numpy as np

from aand_edge.config import plain_name
from aand_edge.errors import UsageError
from aand_edge.runtime.events import Event, Inspected
from aand_edge.runtime.frame import Picture
from aand_edge.runtime.sinks.shelf import MEGABYTE, Shelf, open_folder, unwritable
from aand_edge.runtime.verdict import overlay

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPTION = 1 / 20  # of the picture's height, and 18 pixels at least
REJECTED, PASSED, PLAIN = (80, 80, 255), (80, 220, 80), (225, 225, 225)  # BGR
AHEAD = 8  # frames that are held back to measure how fast they come
UNKNOWN_FPS = 10.0
# OpenCV does not say when a disk is full: the file is ended while its index still fits.
SPARE_BYTES = 64 * MEGABYTE


class VideoSink:
    """Writes `STEM-CAMERA-NNN.mp4`: every judged frame, with its heat and outlines, and what was said of it below.

    path      such as out/overlay.mp4; its suffix chooses the container
    fps       the video's; None takes that of the clip, and measures a camera's from the first frames
    codec     four letters, as OpenCV knows it; MJPG in .avi survives a power cut, mp4v in .mp4 is smaller
    minutes   of a file; then the next one begins, as it does where a camera's frames change in size
    keep_mb   the size of all finished files together in 10⁶ bytes; the oldest are deleted first

    No file is ever overwritten. A file can be played once it is ended; one that a kill cuts short cannot, in .mp4.
    `append` raises OSError where the disk is nearly full.
    """

    name = "video"

    def __init__(
        self,
        path: Path,
        fps: float | None = None,
        codec: str = "mp4v",
        minutes: float = 10,
        keep_mb: float = 4096,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        if len(codec) != 4:
            raise UsageError(f"{codec!r} is no codec", "Give its four letters, such as mp4v.")
        if minutes <= 0 or keep_mb <= 0 or (fps is not None and fps <= 0):
            raise UsageError("A video needs time and room", "Make fps, minutes and keep_mb positive.")
        self._path = path
        self._fps = fps
        self._codec = codec
        self._seconds = 60 * minutes
        self._keep = int(keep_mb * MEGABYTE)
        self._spare = spare_bytes
        self._reels: dict[str, _Reel] = {}

    def __enter__(self) -> VideoSink:
        """Raises UsageError where OpenCV has not got the codec, or the folder cannot be written."""
        open_folder(self._path.parent)
        self._probe()
        finished = self._path.parent.glob(f"{_literal(self._path.stem)}-*-[0-9][0-9][0-9]*{self._path.suffix}")
        self._shelf = Shelf(self._keep, finished)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for camera in list(self._reels):
            self._end(camera)

    def append(self, event: Event) -> None:
        """Draw a judged frame into its camera's video."""
        if not isinstance(event, Inspected):
            return
        frame = event.frame
        if shutil.disk_usage(self._path.parent).free < self._spare:
            self._end(frame.camera)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        drawn = captioned(overlay(frame.picture, event.anomaly_map, event.verdict.threshold), event)
        reel = self._reels.get(frame.camera)
        if reel is not None and not reel.takes(drawn, frame.captured):
            self._end(frame.camera)
            reel = None
        if reel is None:
            reel = self._reels[frame.camera] = _Reel(
                self._next_path(frame.camera), self._fps or frame.rate, self._seconds, self._writer
            )
        try:
            reel.add(drawn, frame.captured)
        except Exception:
            del self._reels[frame.camera]  # it would hold back frames for ever
            raise

    def _end(self, camera: str) -> None:
        reel = self._reels.pop(camera, None)
        if reel is None:
            return
        reel.end()
        self._shelf.add(reel.path)
        self._shelf.make_room(0)

    def _next_path(self, camera: str) -> Path:
        start = f"{self._path.stem}-{plain_name(camera)}-"
        found = (path.stem[len(start) :] for path in self._path.parent.iterdir() if path.name.startswith(start))
        number = max((int(rest) for rest in found if rest.isdecimal()), default=0) + 1
        return self._path.with_name(f"{start}{number:03}{self._path.suffix}")

    def _writer(self, path: Path, fps: float, width: int, height: int) -> cv2.VideoWriter:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*self._codec), fps, (width, height))
        if not writer.isOpened():
            raise UsageError(
                f"OpenCV cannot write {self._codec} into {self._path.suffix or 'a file without suffix'} here",
                "Name the video with another suffix under [run]: .mp4 or .avi.",
            )
        return writer

    def _probe(self) -> None:
        try:
            folder = tempfile.TemporaryDirectory(dir=self._path.parent)
        except OSError as error:
            raise unwritable(self._path.parent, error) from None
        with folder as name:
            probe = Path(name) / f"probe{self._path.suffix}"
            writer = self._writer(probe, UNKNOWN_FPS, 64, 64)
            writer.write(np.zeros((64, 64, 3), np.uint8))
            writer.release()


class _Reel:
    """One file; it is made with its first frames' rate."""

    def __init__(
        self,
        path: Path,
        fps: float | None,
        seconds: float,
        make: Callable[[Path, float, int, int], cv2.VideoWriter],
    ) -> None:
        self.path = path
        self._fps = fps
        self._seconds = seconds
        self._make = make
        self._writer: cv2.VideoWriter | None = None
        self._ahead: list[tuple[Picture, float]] = []
        self._shape: tuple[int, ...] | None = None
        self._started = 0.0

    def takes(self, picture: Picture, captured: float) -> bool:
        """Whether a frame still belongs into this file."""
        return picture.shape == self._shape and captured - self._started < self._seconds

    def add(self, picture: Picture, captured: float) -> None:
        """Write a frame, or hold it back until the rate is known."""
        if self._shape is None:
            self._shape, self._started = picture.shape, captured
        if self._writer is not None:
            self._writer.write(picture)
            return
        self._ahead.append((picture, captured))
        if self._fps is not None or len(self._ahead) == AHEAD:
            self._begin()

    def end(self) -> None:
        """Write what was held back, and the file's index."""
        if self._writer is None and self._ahead:
            self._begin()
        if self._writer is not None:
            self._writer.release()

    def _begin(self) -> None:
        height, width = self._ahead[0][0].shape[:2]
        times = [captured for _, captured in self._ahead]
        self._writer = self._make(self.path, self._fps or measured_fps(times), width, height)
        for picture, _ in self._ahead:
            self._writer.write(picture)
        self._ahead.clear()


def captioned(picture: Picture, event: Inspected) -> Picture:
    """A picture over a strip of its own with verdict, score and threshold, camera and number; nothing is covered."""
    verdict, frame = event.verdict, event.frame
    word = ("REJECT" if event.rejected else "pass") + (" (late)" if event.late else "")
    facts = f"  {verdict.score:.3f} / {verdict.threshold:.3f}   {frame.camera} {frame.number}"
    facts = facts.encode("ascii", "replace").decode()  # OpenCV's font has no more
    height, width = picture.shape[:2]
    strip = np.zeros((2 * max(9, round(height * CAPTION / 2)), width, 3), np.uint8)
    scale = strip.shape[0] / 36
    (across, _), _ = cv2.getTextSize(word + facts, FONT, scale, 1)
    scale *= min(1.0, 0.96 * width / across)
    x, y = round(0.02 * width), round(0.72 * strip.shape[0])
    cv2.putText(strip, word, (x, y), FONT, scale, REJECTED if event.rejected else PASSED, 1, cv2.LINE_AA)
    x += cv2.getTextSize(word, FONT, scale, 1)[0][0]
    cv2.putText(strip, facts, (x, y), FONT, scale, PLAIN, 1, cv2.LINE_AA)
    return np.vstack((picture, strip))


def measured_fps(captured: list[float]) -> float:
    """Frames a second of moments in seconds, by the median of their gaps; 10 where that says nothing."""
    gaps = [after - before for before, after in pairwise(captured)]
    gap = median(gaps) if gaps else 0.0
    # MPEG-4 counts time in fractions of a second, 1/65535 at the finest: a rate of 88.089 has none.
    return round(min(max(1 / gap, 1.0), 240.0), 2) if gap > 0 else UNKNOWN_FPS


def _literal(text: str) -> str:
    """Text for `glob` that means itself."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in text)
