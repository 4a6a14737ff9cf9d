"""How the two seconds of a stop are shared.

Three stages, `CAMERAS_S`, `GATE_S` and `SINKS_S`, follow one another, each with a share that the one before cannot use
up. Within a stage all parts end by the same moment, so that limits do not add up, however many of them hang.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, Protocol

CAMERAS_S = 0.6  # what was captured is judged, and meanwhile cameras and triggers end
GATE_S = 0.6  # the gate pushes off what comes to it yet and goes to its safe side; the encoder ends
SINKS_S = 0.7  # each sink writes out what it holds
DISK_S = 5.0  # but those that write on this machine's disk have so long: a slow one is to lose no verdict and no video
ENGINE_S = 0.1  # at the very end an engine that is just being loaded is waited for, then left to end with the process


class Ending(Protocol):
    """What takes a while to end, such as `sources.camera.Camera`."""

    def stop(self) -> None: ...


def stop_each(parts: Sequence[Ending]) -> list[threading.Thread]:
    """Tell each to end, all at once: one that hangs takes its time beside the others'. The threads end with them."""
    stopping = [threading.Thread(target=each.stop, name="aand-stop") for each in parts]
    for thread in stopping:
        thread.start()
    return stopping


class Deadline:
    """A moment that several are waited for: each takes what is left of it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 where it has passed."""
        return max(0.0, self._end - time.monotonic())


ENGINE_LOADER = "aand-engine-next"  # the thread's name


def end_process(code: int) -> NoReturn:
    """Raise SystemExit; where a thread still loads an engine, end at once.

    The interpreter's own end would take that thread away within a library of C++, which aborts the process: exit code
    134 in half of all tries with OpenVINO and ONNX Runtime.
    """
    if any(thread.name == ENGINE_LOADER for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # full, closed, or none at all
                stream.flush()
        os._exit(code)
    sys.exit(code)
