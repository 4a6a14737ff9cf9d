"""Cameras of rendered parts, and what goes wrong between a camera and a computer; one runs in a process of its own."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from aand_edge.data.pictures import decode_picture
from aand_edge.errors import DataError, SourceError
from aand_edge.runtime.frame import Picture
from aand_edge.runtime.sources.base import Grab, Source, SourceOptions, StalledError
from aand_edge.runtime.sources.child import IsolatedSource
from aand_edge.runtime.sources.rendered import RenderedSource
from benchmarks.soak.faults import Counts

OF_READS = {"torn JPEG": 0.01, "other size": 0.01, "stall": 0.002, "lost": 0.002}  # shares
OF_CHILD_READS = {"block": 0.002, "crash": 0.002}


class FaultyCamera:
    """Rendered parts as JPEG, and what goes wrong between a camera and a computer. `given` counts its frames."""

    def __init__(self, seed: int, rate: int, counts: Counts) -> None:
        """rate: frames a second; 0: files, which wait for the engine"""
        self._parts = RenderedSource({"rate": str(rate), "parts": "4", "seed": str(seed)}, SourceOptions())
        self.live, self.given = rate > 0, 0
        self._rng, self._counts = np.random.default_rng(seed), counts
        self._encoded: dict[int, bytes] = {}

    def open(self) -> None:
        """A camera that came back is the one that was lost."""
        self._parts.open()

    def close(self) -> None:
        """Nothing to give back."""

    def read(self) -> Grab | None:
        """The next frame, spoilt or not. Raises SourceError where it is lost or stalls, DataError where it is torn."""
        fault = str(self._rng.choice([*OF_READS, "none"], p=[*OF_READS.values(), 1 - sum(OF_READS.values())]))
        if not self.live and fault in ("stall", "lost"):
            fault = "none"  # a file that breaks is not opened again
        if fault != "none":
            self._counts[fault] += 1
        if fault == "lost":
            raise SourceError("the cable was pulled")
        if fault == "stall":
            time.sleep(0.05)
            raise StalledError("no picture within 0.05 s")
        grab = self._parts.read()
        assert grab is not None
        self.given += 1
        data = self._jpeg(grab.picture)
        if fault == "torn JPEG":
            data = data[: int(self._rng.integers(len(data)))]
        picture = np.ascontiguousarray(decode_picture(data, Path("camera.jpg"))[:, :, ::-1])
        return replace(grab, picture=np.ascontiguousarray(picture[::2, ::3]) if fault == "other size" else picture)

    def _jpeg(self, picture: Picture) -> bytes:
        """Each of the few rendered parts is encoded once."""
        if id(picture) not in self._encoded:
            self._encoded[id(picture)] = cv2.imencode(".jpg", picture)[1].tobytes()
        return self._encoded[id(picture)]


class ChildCamera:
    """A camera in a process of its own, as those are whose drivers may hang. `given` counts what came from there."""

    live = True

    def __init__(self, counts: Counts) -> None:
        factory = "benchmarks.soak.cameras:breaking"
        self._child = IsolatedSource("test://?rate=20&parts=4&seed=2", SourceOptions(), 60.0, 1.0, factory)
        self.given, self._counts = 0, counts

    def open(self) -> None:
        """Start the process."""
        self._child.open()

    def read(self) -> Grab | None:
        """The child's next frame. Raises SourceError where its driver is blocked or crashed."""
        try:
            grab = self._child.read()
        except DataError:
            self.given += 1
            raise
        except SourceError as error:
            self._counts["driver blocked" if isinstance(error, StalledError) else "driver crashed"] += 1
            raise
        if grab is not None:
            self.given += grab.skipped + (grab.picture.size > 0)
        return grab

    def close(self) -> None:
        """End the process, blocked or not."""
        self._child.close()


class Breaking:
    """In the child: a driver that never returns, or takes its process down."""

    live = True

    def __init__(self, inner: Source) -> None:
        self._inner, self._rng = inner, np.random.default_rng()

    def open(self) -> None:
        """As the camera inside."""
        self._inner.open()

    def read(self) -> Grab | None:
        """The next frame, unless this process hangs or is gone."""
        chance = self._rng.random()
        if chance < OF_CHILD_READS["block"]:
            time.sleep(1e6)
        if chance > 1 - OF_CHILD_READS["crash"]:
            os._exit(7)
        return self._inner.read()

    def close(self) -> None:
        """As the camera inside."""
        self._inner.close()


def breaking(uri: str, options: SourceOptions) -> Breaking:
    """As `uri.open_source`, in the child."""
    return Breaking(RenderedSource(dict(pair.split("=") for pair in uri.partition("?")[2].split("&")), options))
