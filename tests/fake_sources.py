"""Sources that misbehave, for a child process to open by name."""

from __future__ import annotations

import os
import time

import numpy as np

from aand_edge.errors import DataError, MissingDependencyError, SourceError
from aand_edge.runtime.sources.base import Grab, SourceOptions


class Counting:
    """Pictures whose grey level is their number, until the number of the URI's first part; then what it says next.

    print   says something on stdout at once, in C and in Python
    """

    live = True

    def __init__(self, uri: str, options: SourceOptions) -> None:
        count, _, self._then = uri.partition("/")
        self._left, self._number = int(count), 0

    def open(self) -> None:
        if self._then == "print":
            os.write(1, b"GST_ARGUS: Creating output stream\n")
            print("a driver in Python", flush=True)
        if self._then == "never":
            raise MissingDependencyError("the camera needs a driver", "Install it.")
        if self._then == "refuse":
            raise SourceError("rtsp://user:secret@camera refuses", "Check it.")

    def read(self) -> Grab | None:
        if self._number >= self._left:
            return self._end()
        self._number += 1
        time.sleep(0.01)
        side = 64 if self._then == "grow" and self._number > self._left // 2 else 32
        return Grab.now(np.full((side, side, 3), self._number, np.uint8), f"part{self._number}", truth=False)

    def _end(self) -> Grab | None:
        if self._then == "block":
            time.sleep(1e6)
        if self._then == "crash":
            os._exit(7)
        if self._then == "bad":
            self._then = ""
            raise DataError("the picture is torn")
        if self._then == "lose":
            raise SourceError("the cable was pulled")
        return None

    def close(self) -> None:
        """Nothing to give back."""


def counting(uri: str, options: SourceOptions) -> Counting:
    """As `uri.open_source`."""
    return Counting(uri, options)
