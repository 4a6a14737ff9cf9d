"""`simulated:` or `simulated:FILE`: a gate that only writes down when it would have moved."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from aand_edge.errors import GateError
from aand_edge.runtime.events import now, stamp


class SimulatedGate:
    """Keeps its position, and a line a move in the file: `time` on the wall clock, `monotonic` in seconds."""

    name = "simulated"
    refresh_s: float | None = None

    def __init__(self, log: Path | None = None) -> None:
        self.rejecting = False
        self._path = log
        self._file: IO[str] | None = None

    def __enter__(self) -> SimulatedGate:
        if self._path is not None:
            try:
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise GateError(f"{self._path} cannot be written ({error.strerror})", "Name another file.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def set(self, rejecting: bool) -> None:
        self.rejecting = rejecting
        if self._file is not None:
            line = {"time": stamp(now()), "monotonic": time.monotonic(), "rejecting": rejecting}
            try:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
            except OSError as error:
                raise GateError(f"{self._path} cannot be written ({error.strerror})", "Free some space.") from None

    def interrupt(self) -> None:
        """It waits for nobody."""
