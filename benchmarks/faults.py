"""What goes wrong beside a conveyor, done to a loop on purpose: cameras, engine, sinks, broker, disk and clock.

Each counts what it did in `Counts`, by name.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from aand_edge.data.pictures import decode_picture
from aand_edge.engines.base import Frames, Outputs, Runner
from aand_edge.errors import DataError, SourceError
from aand_edge.runtime.events import Event
from aand_edge.runtime.frame import Picture
from aand_edge.runtime.sinks.mqtt import MqttSink
from aand_edge.runtime.sources.base import Grab, Source, SourceOptions, StalledError
from aand_edge.runtime.sources.child import IsolatedSource
from aand_edge.runtime.sources.rendered import RenderedSource

OF_READS = {"torn JPEG": 0.01, "other size": 0.01, "stall": 0.002, "lost": 0.002}  # shares
OF_CHILD_READS = {"block": 0.002, "crash": 0.002}
SMALL_DISK = 1_000_000_000  # bytes; a larger one is nobody's to fill up
Counts = Counter[str]


class FaultyCamera:
    """Rendered parts as JPEG, and what goes wrong between a camera and a computer. `given` counts its frames."""

    def __init__(self, seed: int, rate: int, counts: Counts) -> None:
        """rate: frames a second; 0: files, which wait for the engine"""
        self._parts = RenderedSource({"rate": str(rate), "parts": "4", "seed": str(seed)}, SourceOptions())
        self.live, self.given = rate > 0, 0
        self._rng, self._counts = np.random.default_rng(seed), counts
        self._encoded: dict[int, bytes] = {}

    def open(self) -> None:
        self._parts.open()

    def close(self) -> None:
        """Nothing to give back."""

    def read(self) -> Grab | None:
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
        factory = "benchmarks.faults:breaking"
        self._child = IsolatedSource("test://?rate=20&parts=4&seed=2", SourceOptions(), 60.0, 1.0, factory)
        self.given, self._counts = 0, counts

    def open(self) -> None:
        self._child.open()

    def read(self) -> Grab | None:
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
        self._child.close()


class Breaking:
    """In the child: a driver that never returns, or takes its process down."""

    live = True

    def __init__(self, inner: Source) -> None:
        self._inner, self._rng = inner, np.random.default_rng()

    def open(self) -> None:
        self._inner.open()

    def read(self) -> Grab | None:
        chance = self._rng.random()
        if chance < OF_CHILD_READS["block"]:
            time.sleep(1e6)
        if chance > 1 - OF_CHILD_READS["crash"]:
            os._exit(7)
        return self._inner.read()

    def close(self) -> None:
        self._inner.close()


def breaking(uri: str, options: SourceOptions) -> Breaking:
    """As `uri.open_source`, in the child."""
    return Breaking(RenderedSource(dict(pair.split("=") for pair in uri.partition("?")[2].split("&")), options))


class FaultyRunner:
    """An engine that fails now and then; it has to be opened afresh."""

    def __init__(self, runner: Runner, counts: Counts, fails_every: int) -> None:
        """fails_every: calls; 0: it never fails"""
        self._runner, self._counts, self._fails_every, self._calls = runner, counts, fails_every, 0

    def infer(self, frames: Frames) -> Outputs:
        self._calls += 1
        if self._calls == self._fails_every:
            self._counts["engine error"] += 1
            raise RuntimeError("an illegal memory access was encountered")
        return self._runner.infer(frames)

    def close(self) -> None:
        self._runner.close()

    def __enter__(self) -> FaultyRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Troubled:
    """A sink that is slow, or fails, for a second of every ten."""

    def __init__(self, name: str, counts: Counts) -> None:
        self.name, self._counts, self._start = name, counts, time.monotonic()

    def __enter__(self) -> Troubled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held back."""

    def append(self, event: Event) -> None:
        if (time.monotonic() - self._start) % 10 < 1:
            self._counts[f"sink {self.name}"] += 1
            if self.name == "slow":
                time.sleep(0.05)
            else:
                raise OSError(28, "No space left on device")


class CountedMqtt(MqttSink):
    """Counts the events that it was given, and those of them that no queue took: its disk was full."""

    given = refused = 0

    def append(self, event: Event) -> None:
        self.given += 1
        try:
            super().append(event)
        except OSError:
            self.refused += 1
            raise


class Broker:
    """A mosquitto on a port of its own, that is killed and brought back."""

    def __init__(self, folder: Path, counts: Counts) -> None:
        self._counts = counts
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Does not wait until it answers."""
        program = [mosquitto() or "mosquitto", "-c", str(self._config)]
        self._process = subprocess.Popen(program, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """As a machine whose power fails: nobody is told."""
        if self._process is not None:
            self._counts["broker away"] += 1
            self._process.kill()
            self._process.wait()
            self._process = None


def mosquitto() -> str | None:
    """The broker's program, where Debian's package is installed."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


class Balloon:
    """A file that takes all the room that a small disk has left."""

    def __init__(self, folder: Path, counts: Counts) -> None:
        self._file, self._counts = folder / "balloon", counts
        self.possible = shutil.disk_usage(folder).total < SMALL_DISK

    def fill(self) -> None:
        self._counts["disk full"] += 1
        try:
            with self._file.open("wb", buffering=0) as file:
                while file.write(bytes(100_000)):
                    pass
        except OSError:
            pass  # full, as was wanted

    def empty(self) -> None:
        self._file.unlink(missing_ok=True)


class SteppingClock(datetime):
    """In place of `datetime` where the loop reads the wall clock; `step` is how far it is off."""

    step = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.step
