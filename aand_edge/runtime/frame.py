"""A frame, stamped and numbered at capture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from aand_edge.config import plain_name

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Call:
    """A part that an external trigger announced.

    moment   seconds on the monotonic clock: the first frame captured then or later shows the part
    part     its id, where the trigger told one
    """

    moment: float
    part: str | None = None


@dataclass(frozen=True)
class Frame:
    """One picture of a camera.

    camera    the camera's name
    number    from 0, counted at capture: a number that never reaches a verdict was dropped, skipped or failed
    name      a file's path, or CAMERA/NUMBER
    picture   uint8 (H, W, 3), BGR, contiguous, as a camera gives it
    captured  seconds on the monotonic clock
    time      the same moment on the wall clock, UTC
    origin    x, y of the picture's corner in the camera's pixels, where the source crops
    rate      frames a second that the clip was made for, where the frame is of one
    truth     whether the part has a defect, where the source knows (the rendered test source)
    call      the call that the frame answers, where an external trigger asked for it
    """

    camera: str
    number: int
    name: str
    picture: Picture
    captured: float
    time: datetime
    origin: tuple[int, int] = (0, 0)
    truth: bool | None = None
    rate: float | None = None
    call: Call | None = None

    @property
    def stem(self) -> str:
        """TIME-CAMERA-NUMBER, what files of it begin with: sorted by name, they are sorted by time."""
        milliseconds = self.time.microsecond // 1000
        return f"{self.time:%Y%m%dT%H%M%S}{milliseconds:03}Z-{plain_name(self.camera)}-{self.number:06}"

    @property
    def at_camera(self) -> float:
        """When the part stood before the camera, monotonic seconds: a trigger tells it more exactly than frames do."""
        return self.captured if self.call is None else self.call.moment
