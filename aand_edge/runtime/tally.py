"""What became of the frames: the loop's own count, which every sink's record can be checked against."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.runtime.events import Dropped, Event, Failed, Inspected, Pulsed, SourceChanged

REMEMBERED = 10_000  # latencies: the last frames', so that memory does not grow
PERCENTILES = (50, 95, 99)
COLUMNS = ("latency_ms", "inference_ms", "loop_ms")


@dataclass
class Tally:
    """Frames by their fate, and how long the judged ones took; bounded, however long the loop runs."""

    judged: int = 0
    rejected: int = 0
    failed: int = 0
    late: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    gate_missed: int = 0
    unwritten: dict[str, int] = field(default_factory=dict)  # sink → events that it did not take, known at the end
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    # Columns: total, inference, beside it. Held whole from the start, so that memory is flat from the first frame on.
    _latencies: NDArray[np.float32] = field(default_factory=lambda: np.zeros((REMEMBERED, 3), np.float32))

    def count(self, event: Event) -> None:
        """Take one event into account."""
        if isinstance(event, Inspected):
            timing = event.timing
            row = self._latencies[self.judged % REMEMBERED]
            row[:] = timing.total, timing.inferred, timing.prepared + timing.judged
            self.judged += 1
            self.rejected += event.rejected
            self.late += event.late
        elif isinstance(event, Failed):
            self.failed += 1
        elif isinstance(event, Dropped):
            self.dropped[event.reason] += event.count
        elif isinstance(event, SourceChanged):
            self.reconnects += event.again
        elif isinstance(event, Pulsed):
            self.gate_missed += event.missed

    @property
    def seconds(self) -> float:
        """How long the loop has run."""
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def to_dict(self) -> dict[str, Any]:
        """The summary that `run --json` ends with. `latency_ms` is capture to verdict, `loop_ms` that without
        waiting and inference."""
        known = self._latencies[: min(self.judged, REMEMBERED)]
        return {
            "judged": self.judged,
            "rejected": self.rejected,
            "dropped": sum(self.dropped.values()),
            "dropped_by_reason": dict(self.dropped),
            "failed": self.failed,
            "late": self.late,
            "reconnects": self.reconnects,
            "gate_missed": self.gate_missed,
            "seconds": self.seconds,
            "fps": self.judged / self.seconds if self.seconds else 0.0,
            **{name: _percentiles(column) for name, column in zip(COLUMNS, known.T, strict=True)},
        }


def _percentiles(values: NDArray[np.float32]) -> dict[str, float]:
    if not len(values):
        return {}
    return {f"p{p}": float(np.percentile(values, p, method="inverted_cdf")) for p in PERCENTILES}
