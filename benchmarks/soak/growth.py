"""What a process holds, over its life: memory, descriptors, threads, and whether they grow."""

from __future__ import annotations

import ctypes
import os
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What lies in memory, what of it is no file's, and the blocks in use that malloc gave: between the second and the third
# lie its free pages, and what came past it.
COLUMNS = ("memory_mb", "anonymous_mb", "allocated_mb", "descriptors", "threads")
MALLINFO = (  # in this order
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)
EVERY_S = 0.5
BLOCKS = 30  # means of so many equal times are what the slope is fitted to
Series = NDArray[np.float64]


class Growth:
    """Samples of this process. Held whole from the start, so that what measures does not grow itself."""

    def __init__(self, seconds: float) -> None:
        self._samples = np.full((int(seconds / EVERY_S) + 10, 1 + len(COLUMNS)), np.nan)
        self._count, self._due = 0, 0.0

    def sample(self) -> None:
        """Look, where the last look is long enough ago."""
        moment = time.monotonic()
        if moment < self._due or self._count == len(self._samples):
            return
        self._due = moment + EVERY_S
        self._samples[self._count] = (moment, *_held())
        self._count += 1

    def to_dict(self) -> dict[str, Any]:
        """First and last, the most of each half, and the second's slope an hour with its standard error."""
        samples = self._samples[: self._count]
        middle = len(samples) // 2
        half = samples[middle:]
        found = {}
        for index, name in enumerate(COLUMNS, start=1):
            column = samples[:, index]
            if np.isnan(column).any():
                continue  # this system does not tell
            slope, error = slope_an_hour(half[:, 0], half[:, index])
            found[name] = {
                "first": float(column[0]),
                "last": float(column[-1]),
                "most_of_halves": [float(each.max()) for each in (column[:middle], column[middle:])],
                "slope_an_hour": round(slope, 3),
                "standard_error": round(error, 3),
            }
        return found


class _MallInfo(ctypes.Structure):
    """mallinfo2 of glibc's malloc.h."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO)


def _allocated() -> float:
    """Bytes in blocks that are in use, over all arenas; nan where the C library does not tell."""
    library = _libc()
    if not hasattr(library, "mallinfo2"):
        return float("nan")
    library.mallinfo2.restype = _MallInfo
    told = library.mallinfo2()
    return float(told.uordblks + told.hblkhd)


@cache
def _libc() -> ctypes.CDLL:
    """Once: each makes a class of its own, which lies there until a collection."""
    return ctypes.CDLL(None)


def _held() -> tuple[float, float, float, int, int]:
    status = Path("/proc/self/status").read_text()
    resident, anonymous = (int(re.search(rf"^{key}:\s+(\d+)", status, re.M)[1]) for key in ("VmRSS", "RssAnon"))  # type: ignore[index]
    known = resident * 1024 / 1e6, anonymous * 1024 / 1e6, _allocated() / 1e6
    return *known, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def slope_an_hour(seconds: Series, values: Series) -> tuple[float, float]:
    """A line's slope through the means of equal times, and its standard error.

    What a process holds at one moment it mostly holds at the next, so samples say less than as many independent ones
    would: their means are taken, and the error grows by what their residuals still have in common
    (√((1 + r) / (1 − r)), r their correlation with the one before).
    """
    blocks = min(BLOCKS, len(values) // 2)
    if blocks < 4:
        return 0.0, float("inf")
    x = np.array([part.mean() for part in np.array_split(seconds, blocks)]) / 3600
    y = np.array([part.mean() for part in np.array_split(values, blocks)])
    x, y = x - x.mean(), y - y.mean()
    slope = float((x * y).sum() / (x * x).sum())
    rest = y - slope * x
    error = float(np.sqrt((rest * rest).sum() / (blocks - 2) / (x * x).sum()))
    alike = float((rest[1:] * rest[:-1]).sum() / max((rest * rest).sum(), 1e-300))
    alike = min(max(alike, 0.0), 0.95)
    return slope, error * float(np.sqrt((1 + alike) / (1 - alike)))
