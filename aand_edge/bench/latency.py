"""How long an engine takes, with its tail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aand_edge.errors import UsageError

ROUND = 10  # timed runs of an engine before the next one has its turn


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call, over all samples: nothing is trimmed, and each percentile is a time that was seen.

    A percentile is the smallest sample that at least that share of the samples does not exceed (nearest rank). With
    fewer than 100 samples P99 is therefore the maximum. `fps` is frames over the whole time, stalls included.
    """

    p50: float
    p95: float
    p99: float
    max: float
    mean: float
    fps: float
    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: Sequence[float], frames: int = 1) -> Latency:
        """From the milliseconds of each call, which answered `frames` frames."""
        p50, p95, p99 = (float(value) for value in np.percentile(samples, [50, 95, 99], method="inverted_cdf"))
        mean = float(np.mean(samples))
        return cls(p50, p95, p99, float(max(samples)), mean, 1000 * frames / mean, tuple(samples))

    def to_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("p50", "p95", "p99", "max", "mean")}


def measure_in_turn(
    infers: Sequence[Callable[[], object]],
    warmup: int,
    repeats: int,
    frames: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> list[Latency]:
    """Latency of each of several calls, taken in turn so that a slow spell of the machine hits all of them alike.

    warmup     calls of each that do not count
    repeats    calls of each that do
    frames     how many frames each call answers
    progress   told rounds done and rounds in all

    Raises UsageError where a count is wrong.
    """
    if repeats < 1 or warmup < 0:
        raise UsageError(f"{repeats} repeats after {warmup} warm-up runs measure nothing", "Give at least one repeat.")
    for infer in infers:
        _times(infer, warmup)
    samples: list[list[float]] = [[] for _ in infers]
    for done in range(0, repeats, ROUND):
        for infer, own in zip(infers, samples, strict=True):
            if len(infers) > 1:
                infer()  # the others have filled the caches, which a camera loop would find warm
            own += _times(infer, min(ROUND, repeats - done))
        if progress:
            progress(done // ROUND + 1, -(-repeats // ROUND))
    return [Latency.of(own, count) for own, count in zip(samples, frames, strict=True)]


def _times(infer: Callable[[], object], count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        infer()
        times.append(1000 * (time.perf_counter() - start))
    return times
