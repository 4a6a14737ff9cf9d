"""`genicam://SERIAL`: an industrial camera (GigE Vision, USB3 Vision) through harvesters and its maker's producer."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aand_edge.errors import DataError, MissingDependencyError, SourceError
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options

FETCH_S = 4.0
PRODUCERS = "GENICAM_GENTL64_PATH"  # where makers' .cti files lie, by the GenTL standard
BAYER = {
    "BayerRG8": cv2.COLOR_BayerBG2BGR,  # OpenCV names the second row and column
    "BayerBG8": cv2.COLOR_BayerRG2BGR,
    "BayerGR8": cv2.COLOR_BayerGB2BGR,
    "BayerGB8": cv2.COLOR_BayerGR2BGR,
}


class GenicamSource:
    """A camera by its serial number."""

    live = True

    def __init__(self, serial: str, options: SourceOptions) -> None:
        refuse_options("a genicam camera", options, "size", "rate", "exposure")
        if find_spec("harvesters") is None:
            raise MissingDependencyError(
                "genicam:// needs the package harvesters, which is not installed",
                "Run `pip install 'aand-edge[genicam]'`.",
            )
        self._serial, self._options, self._told = serial, options, f"The camera genicam://{serial}"
        self._harvester: Any = None
        self._camera: Any = None

    def open(self) -> None:
        from harvesters.core import Harvester

        self._harvester = Harvester()
        producers = [file for folder in os.environ.get(PRODUCERS, "").split(":") if folder for file in _cti(folder)]
        if not producers:
            raise SourceError(
                f"{self._told} needs its maker's GenTL producer, and {PRODUCERS} names none",
                "Install the maker's driver.",
            )
        for file in producers:
            self._harvester.add_file(str(file))
        self._harvester.update()
        try:
            self._camera = self._harvester.create({"serial_number": self._serial})
        except ValueError:
            there = ", ".join(str(each.serial_number) for each in self._harvester.device_info_list) or "none"
            raise SourceError(f"{self._told} is not there; there are: {there}", "Check power and cable.") from None
        self._set(self._camera.remote_device.node_map)
        self._camera.start()

    def _set(self, nodes: Any) -> None:
        if self._options.size is not None:
            nodes.Width.value, nodes.Height.value = self._options.size
        if self._options.rate is not None:
            nodes.AcquisitionFrameRate.value = self._options.rate
        if self._options.exposure is not None:
            nodes.ExposureTime.value = self._options.exposure  # microseconds

    def read(self) -> Grab | None:
        buffer = self._camera.try_fetch(timeout=FETCH_S)  # `fetch` raises an error of genicam's own
        if buffer is None:
            raise SourceError(f"{self._told} gives no picture any more", "Check power and cable.")
        with buffer:
            stamped = Grab.nothing()
            part = buffer.payload.components[0]
            picture = to_bgr(part.data.reshape(part.height, part.width, -1), part.data_format)
        return replace(stamped, picture=picture)

    def close(self) -> None:
        for each, end in ((self._camera, "destroy"), (self._harvester, "reset")):
            if each is not None:
                getattr(each, end)()


def _cti(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.cti"))


def to_bgr(raw: np.ndarray[Any, Any], form: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 (H, W, 3), contiguous, of (H, W, C) in one of GenICam's 8-bit formats. Raises DataError for another."""
    if form == "Mono8":
        return np.asarray(cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if form in BAYER:
        return np.asarray(cv2.cvtColor(raw, BAYER[form]), dtype=np.uint8)
    if form == "RGB8":
        return np.ascontiguousarray(raw[:, :, ::-1], dtype=np.uint8)
    if form == "BGR8":
        return np.array(raw, dtype=np.uint8)  # the buffer is the camera's own
    raise DataError(
        f"The camera gives pictures as {form}", f"Set it to Mono8, RGB8, BGR8 or one of {', '.join(BAYER)}."
    )
