"""`test://?rate=30&defects=0.2&seed=0&parts=24&size=256&count=0`: rendered parts, whose defects are known."""

from __future__ import annotations

import time

import numpy as np

from aand_edge.data.sample import DEFECTS, render_part
from aand_edge.data.sample.scene import SMALLEST
from aand_edge.errors import UsageError
from aand_edge.runtime.frame import Picture
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options

DEFAULTS = {"rate": 10.0, "defects": 0.2, "seed": 0.0, "parts": 12.0, "size": 256.0, "count": 0.0}


class RenderedSource:
    """Parts in the middle of the picture, as a triggered camera sees them; drawn once, then shown in a seeded order.

    rate      frames a second; 0: as fast as they are taken, and none is lost
    defects   share of the frames that show a faulty part
    parts     how many are drawn, good and faulty
    count     frames until it ends; 0: it never does
    """

    def __init__(self, values: dict[str, str], options: SourceOptions) -> None:
        """Raises UsageError for a name or a value that cannot be."""
        refuse_options("test://", options)
        numbers = DEFAULTS | {name: _number(name, value) for name, value in values.items()}
        self.rate, self.defects, self.live = numbers["rate"], numbers["defects"], numbers["rate"] > 0
        self.seed, self.parts, self.size, self.count = (int(numbers[n]) for n in ("seed", "parts", "size", "count"))
        if not 0 <= self.defects <= 1 or self.parts < 2:
            raise UsageError("test:// needs a share of defects within 0 and 1, and two parts or more", "Check its URI.")
        if self.size < SMALLEST:
            raise UsageError(f"test:// draws no part in {self.size} pixels", f"Make size {SMALLEST} or more.")
        self._parts: dict[bool, list[Picture]] = {}
        self._shown, self._due = 0, 0.0
        self._order = np.random.default_rng(self.seed)

    def open(self) -> None:
        if not self._parts:
            faulty = max(1, round(self.parts * self.defects)) if self.defects else 0
            kinds = [*DEFECTS] * (faulty // len(DEFECTS) + 1)
            rng = np.random.default_rng(self.seed)
            self._parts = {
                True: [_part(rng, self.size, kind) for kind in kinds[:faulty]],
                False: [_part(rng, self.size, None) for _ in range(max(1, self.parts - faulty))],
            }
        self._due = time.monotonic()

    def read(self) -> Grab | None:
        if self.count and self._shown >= self.count:
            return None
        self._shown += 1
        if self.rate:
            time.sleep(max(0.0, self._due - time.monotonic()))
            self._due = max(self._due, time.monotonic() - 1) + 1 / self.rate
        faulty = bool(self._order.random() < self.defects)
        choice = self._parts[faulty]
        return Grab.now(choice[int(self._order.integers(len(choice)))], truth=faulty)

    def close(self) -> None:
        """Nothing to give back."""


def _part(rng: np.random.Generator, size: int, kind: str | None) -> Picture:
    return np.ascontiguousarray(render_part(rng, size, kind)[0][:, :, ::-1])


def _number(name: str, value: str) -> float:
    try:
        if name in DEFAULTS and 0 <= float(value) < 1e9:
            return float(value)
    except ValueError:
        pass
    raise UsageError(f"test:// has no '{name}={value}'", f"It knows {', '.join(DEFAULTS)}, each a number of 0 or more.")
