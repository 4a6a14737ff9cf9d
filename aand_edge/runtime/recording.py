"""Pictures to train on, as the line will see them: the cameras and triggers of the loop, without an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from aand_edge.artifacts import atomic_path
from aand_edge.config import CameraSettings
from aand_edge.errors import DataError
from aand_edge.runtime.events import Dropped, Event, Failed
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.sinks.shelf import open_folder
from aand_edge.runtime.station import open_cameras, signals
from aand_edge.runtime.stopping import stop_each

IDLE_S = 0.1  # how long it waits for a frame before it looks whether it was stopped
FRUITLESS = 30  # frames that fail before the first picture: no later one will do


@dataclass
class Recorded:
    """What became of the frames; dropped: no part was due, `every` had not passed, or another one was being written."""

    saved: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass
class Recording:
    """Writes frames as PNG files, which keep every bit: TIME-CAMERA-NUMBER.png, so that names sort by time.

    count   pictures after which it is enough; None: until the sources end
    every   seconds between two pictures of a camera; 0: each frame
    tell    told what happens to cameras and frames that cannot be had

    `take` raises DataError where the folder cannot be written any more, and where every frame fails.
    """

    folder: Path
    count: int | None
    every: float
    tell: Callable[[Event], None]
    done: Recorded = field(default_factory=Recorded)
    stopped: bool = False  # no Event: a handler that interrupts its `set` would wait for that for ever
    _last: dict[str, float] = field(default_factory=dict)  # camera → when its last picture was captured

    @property
    def enough(self) -> bool:
        return self.stopped or (self.count is not None and self.done.saved >= self.count)

    def stop(self) -> None:
        """End with the picture that is being written; from a signal handler."""
        self.stopped = True

    def take(self, item: Frame | Event) -> None:
        """Save a frame that is due, count and tell of anything else."""
        if isinstance(item, Frame):
            if item.captured < self._last.get(item.camera, float("-inf")) + self.every:
                self.done.dropped += 1
                return
            self._last[item.camera] = item.captured
            self.save(item)
            return
        self.done.dropped += item.count if isinstance(item, Dropped) else 0
        self.tell(item)
        if isinstance(item, Failed):
            self.done.failed += 1
            if not self.done.saved and self.done.failed >= FRUITLESS:
                raise DataError(f"{FRUITLESS} frames failed and none was saved", item.reason)

    def save(self, frame: Frame) -> None:
        """Write one picture: there whole, or not at all."""
        target = self.folder / f"{frame.stem}.png"
        try:
            with atomic_path(target) as temporary:
                temporary.write_bytes(cv2.imencode(".png", frame.picture)[1].tobytes())
        except OSError as error:
            raise DataError(
                f"{target} cannot be written ({error.strerror or error}); {self.done.saved} pictures lie there",
                "Make room, or take another folder.",
            ) from None
        self.done.saved += 1


def record(
    cameras: Sequence[CameraSettings],
    folder: Path,
    count: int | None,
    every: float,
    tell: Callable[[Event], None],
) -> Recorded:
    """Save pictures until there are `count`, the sources end, or SIGTERM or SIGINT comes; see `Recording`.

    Raises UsageError for cameras that cannot be and a folder that cannot be written.
    """
    ready, mailbox = open_cameras(cameras, tell)
    open_folder(folder)
    recording = Recording(folder, count, every, tell)
    with signals(recording.stop, lambda: None):
        try:
            for camera in ready:
                camera.start()
            while not (recording.enough or mailbox.finished):
                for item in mailbox.take(1, IDLE_S):
                    recording.take(item)
        finally:
            mailbox.release()
            for thread in stop_each(ready):
                thread.join()
    return recording.done
