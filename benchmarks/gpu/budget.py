"""One limit of time for all parts of a measurement, so that a rented GPU's hour is not run over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """A part under way. What has begun is not cut off; nothing new begins once it is over."""

    name: str
    limit_s: float
    start: float

    def over(self) -> str | None:
        """Why nothing more is measured in this part; None while there is time."""
        if time.monotonic() - self.start < self.limit_s:
            return None
        return f"the {self.limit_s:.0f} s of this part were over"


class Budget:
    """Seconds for all parts. Each takes its share of what is left, and leaves to the next what it did not need.

    told   name, limit and seconds taken of each part that is done
    """

    def __init__(self, seconds: float, shares: Mapping[str, float]) -> None:
        """shares: of each part that is to come, by name"""
        self.told: list[dict[str, Any]] = []
        self._end, self._shares = time.monotonic() + seconds, dict(shares)

    @contextmanager
    def part(self, name: str) -> Iterator[Part]:
        """Its limit is printed when it begins, its time when it ends."""
        start = time.monotonic()
        share = self._shares[name] / sum(self._shares.values())
        part = Part(name, max(0.0, self._end - start) * share, start)
        del self._shares[name]
        print(f"{name}: {part.limit_s:.0f} s at most", flush=True)
        yield part
        taken = time.monotonic() - start
        self.told.append({"part": name, "limit_s": round(part.limit_s, 1), "took_s": round(taken, 1)})
        print(f"{name}: took {taken:.0f} s", flush=True)
