"""What goes wrong beside a conveyor, done to a loop on purpose: engine, sinks, broker, disk and clock.

Each counts what it did in `Counts`, by name. The cameras are in `cameras`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import TracebackType

from aand_edge.engines.base import Frames, Outputs, Runner
from aand_edge.runtime.events import Event
from aand_edge.runtime.sinks.mqtt import MqttSink

SMALL_DISK = 1_000_000_000  # bytes; a larger one is nobody's to fill up
Counts = Counter[str]


class FaultyRunner:
    """An engine that fails now and then; it has to be opened afresh."""

    def __init__(self, runner: Runner, counts: Counts, fails_every: int) -> None:
        """fails_every: calls; 0: it never fails"""
        self._runner, self._counts, self._fails_every, self._calls = runner, counts, fails_every, 0

    def infer(self, frames: Frames) -> Outputs:
        """As the runner inside. Raises RuntimeError at call `fails_every`."""
        self._calls += 1
        if self._calls == self._fails_every:
            self._counts["engine error"] += 1
            raise RuntimeError("an illegal memory access was encountered")
        return self._runner.infer(frames)

    def close(self) -> None:
        """Give the runner inside back."""
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
        """Raises OSError, or takes 50 ms, for a second of every ten."""
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
        """As MqttSink. Raises OSError where the queue's disk is full."""
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
        """Write until nothing fits."""
        self._counts["disk full"] += 1
        try:
            with self._file.open("wb", buffering=0) as file:
                while file.write(bytes(100_000)):
                    pass
        except OSError:
            pass  # full, as was wanted

    def empty(self) -> None:
        """Give the room back."""
        self._file.unlink(missing_ok=True)


class SteppingClock(datetime):
    """In place of `datetime` where the loop reads the wall clock; `step` is how far it is off."""

    step = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """The wall clock's time, `step` off."""
        return datetime.now(tz) + cls.step
