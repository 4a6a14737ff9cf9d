"""`csi://0`: a Jetson's own camera, through NVIDIA's GStreamer elements, by OpenCV or by PyGObject."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np

from aand_edge.errors import MissingDependencyError, SourceError
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options
from aand_edge.runtime.sources.capture import Capture

SIZE, RATE = (1280, 720), 30.0
PULL_NS = 4_000_000_000


def pipeline(sensor: int, options: SourceOptions) -> str:
    """GStreamer's description of the camera's pictures as BGR, the newest alone.

    exposure is in nanoseconds, as nvarguscamerasrc takes it.
    """
    width, height = options.size or SIZE
    exposure = ""
    if options.exposure is not None:
        exposure = f' exposuretimerange="{int(options.exposure)} {int(options.exposure)}"'
    return (
        f"nvarguscamerasrc sensor-id={sensor}{exposure} ! "
        f"video/x-raw(memory:NVMM), width={width}, height={height}, "
        f"framerate={round(options.rate or RATE)}/1 ! "
        "nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! "
        "appsink name=sink drop=true max-buffers=1 sync=false"
    )


class CsiSource:
    """A MIPI camera. The way to GStreamer is found when it is opened."""

    live = True

    def __init__(self, sensor: int, options: SourceOptions) -> None:
        refuse_options("a csi camera", options, "size", "rate", "exposure")
        self._told, self._pipeline = f"The camera csi://{sensor}", pipeline(sensor, options)
        self._by_opencv = opencv_has_gstreamer()
        if not self._by_opencv and find_spec("gi") is None:
            raise MissingDependencyError(
                f"{self._told} needs GStreamer, which this OpenCV does not have, and PyGObject is not installed",
                "On a Jetson take JetPack's OpenCV: a venv with --system-site-packages and no opencv wheel in it, "
                "or `apt install python3-gi gir1.2-gst-plugins-base-1.0`.",
            )
        self._reader: Capture | PyGObject | None = None

    def open(self) -> None:
        if self._by_opencv:
            self._reader = Capture(self._pipeline, cv2.CAP_GSTREAMER, {}, self._told)
        else:
            self._reader = PyGObject(self._pipeline, self._told)

    def read(self) -> Grab | None:
        assert self._reader is not None
        grab = self._reader.read()
        if grab is None:
            raise SourceError(f"{self._told} gives no picture any more", "Restart nvargus-daemon, check the ribbon.")
        return grab

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def opencv_has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer: JetPack's is, PyPI's wheels are not."""
    lines = [line.strip() for line in cv2.getBuildInformation().splitlines()]
    return any(line.startswith("GStreamer:") and "YES" in line for line in lines)


class PyGObject:
    """An open pipeline, through GStreamer's own Python binding."""

    def __init__(self, description: str, told: str) -> None:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst

        Gst.init(None)
        self._gst, self._told = Gst, told
        try:
            self._pipe: Any = Gst.parse_launch(description)
        except Exception as error:  # GLib.Error, of a module that is not imported by name
            raise SourceError(f"{told} cannot be opened: {error}", "Check that JetPack's plugins are there.") from None
        self._sink = self._pipe.get_by_name("sink")
        self._pipe.set_state(Gst.State.PLAYING)

    def read(self) -> Grab | None:
        sample = self._sink.emit("try-pull-sample", PULL_NS)
        if sample is None:
            return None
        stamped = Grab.nothing()
        facts = sample.get_caps().get_structure(0)
        width, height = facts.get_value("width"), facts.get_value("height")
        buffer = sample.get_buffer()
        there, view = buffer.map(self._gst.MapFlags.READ)
        if not there:
            raise SourceError(f"{self._told} gave a picture that cannot be read", "It is opened again.")
        try:
            rows = np.frombuffer(view.data, np.uint8).reshape(height, -1)  # rows are padded to four bytes
            picture = np.ascontiguousarray(rows[:, : 3 * width].reshape(height, width, 3))
        finally:
            buffer.unmap(view)
        return replace(stamped, picture=picture)

    def close(self) -> None:
        self._pipe.set_state(self._gst.State.NULL)
