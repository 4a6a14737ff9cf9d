"""OpenCV's VideoCapture, opened quietly, with each failure as a sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from aand_edge.errors import SourceError
from aand_edge.runtime.sources.base import Grab

# FFmpeg takes RTSP over UDP by default, where a lost packet smears the picture.
FFMPEG_OPTIONS = "rtsp_transport;tcp"
EARLY = frozenset({cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC})


def silence() -> None:
    """OpenCV prints nothing from here on: what it prints of a stream holds credentials."""
    # The function's home in OpenCV 4, JetPack's, and in OpenCV 5. 0 is silent in both.
    home: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    home.setLogLevel(0)


OF_A_CAMERA = "Check that it is there and that no one else reads it."


class Capture:
    """An open VideoCapture. Not for several threads."""

    def __init__(
        self, what: Any, backend: int, wanted: Mapping[int, float], told: str, hint: str = OF_A_CAMERA
    ) -> None:
        """told and hint: what the source is called in errors, and what to do then.

        Raises SourceError where it cannot be opened.
        """
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", FFMPEG_OPTIONS)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's own lines too: AV_LOG_QUIET
        silence()
        self._told = told
        # Timeouts count only where they are given at once; set afterwards, they come too late for opening.
        early = [int(number) for setting in EARLY & set(wanted) for number in (setting, wanted[setting])]
        self._capture = cv2.VideoCapture(what, backend, early)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(f"{told} cannot be opened", hint)
        for setting, value in wanted.items():
            if setting not in EARLY:
                self._capture.set(setting, value)

    def read(self) -> Grab | None:
        """The next picture, stamped when it was grabbed; None where there is none."""
        if not self._capture.grab():
            return None
        stamped = Grab.nothing()
        there, picture = self._capture.retrieve()
        if not there or picture is None:
            raise SourceError(f"{self._told} gave a picture that cannot be decoded", "Check its cable and format.")
        if picture.ndim == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
        return replace(stamped, picture=np.ascontiguousarray(picture, dtype=np.uint8))

    @property
    def rate(self) -> float | None:
        """Frames a second that it says it gives; None where it says none."""
        told = self._capture.get(cv2.CAP_PROP_FPS)
        return told if 0 < told < float("inf") else None

    @property
    def frames(self) -> int | None:
        """How many it says it holds; None where it says none."""
        told = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(told) if 0 < told < float("inf") else None

    @property
    def moment(self) -> float:
        """Of the picture that was read last, seconds from the first one."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def close(self) -> None:
        self._capture.release()
