"""`v4l2:///dev/video0`, or a bare number: a camera of this machine through Video4Linux."""

from __future__ import annotations

import cv2

from aand_edge.errors import SourceError
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options
from aand_edge.runtime.sources.capture import Capture

MANUAL_EXPOSURE = 1.0  # V4L2_EXPOSURE_MANUAL


class V4l2Source:
    """A USB or built-in camera."""

    live = True

    def __init__(self, device: str, options: SourceOptions) -> None:
        refuse_options("a v4l2 camera", options, "size", "rate", "exposure")
        self._device, self._options = device, options
        self._capture: Capture | None = None

    def open(self) -> None:
        what = int(self._device) if self._device.isdecimal() else self._device
        self._capture = Capture(what, cv2.CAP_V4L2, _wanted(self._options), f"The camera {self._device}")

    def read(self) -> Grab | None:
        assert self._capture is not None
        grab = self._capture.read()
        if grab is None:
            raise SourceError(f"The camera {self._device} gives no picture any more", "Check its cable.")
        return grab

    def close(self) -> None:
        if self._capture is not None:
            self._capture.close()


def _wanted(options: SourceOptions) -> dict[int, float]:
    wanted: dict[int, float] = {cv2.CAP_PROP_BUFFERSIZE: 1}  # the newest picture, not one that waited in the driver
    if options.size is not None:
        wanted |= {cv2.CAP_PROP_FRAME_WIDTH: options.size[0], cv2.CAP_PROP_FRAME_HEIGHT: options.size[1]}
    if options.rate is not None:
        wanted[cv2.CAP_PROP_FPS] = options.rate
    if options.exposure is not None:
        wanted |= {cv2.CAP_PROP_AUTO_EXPOSURE: MANUAL_EXPOSURE, cv2.CAP_PROP_EXPOSURE: options.exposure}
    return wanted
