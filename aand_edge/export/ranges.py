"""How far from zero a tensor's values are to be told apart: four ways to read a range from a histogram.

A symmetric int8 tensor holds 127 steps on each side of zero, so its range is one number a ≥ 0: values beyond ±a are
clipped, and within it they are rounded to steps of a / 127. A large range rounds coarsely, a small one clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BINS = 2048
STEPS = 127  # on each side of zero
STRIDE = 8  # bins between two thresholds that a search tries

Method = Literal["minmax", "percentile", "entropy", "mse"]


@dataclass
class Histogram:
    """Counts of |x| over [0, top] in BINS bins, fed a picture at a time.

    Exact zeros are left out: every range holds them exactly, and behind a ReLU they would drown the rest.
    """

    top: float
    counts: NDArray[np.int64]

    @classmethod
    def up_to(cls, top: float) -> Histogram:
        """An empty one."""
        return cls(top, np.zeros(BINS, np.int64))

    def add(self, values: NDArray[np.floating]) -> None:
        """Count more values; those beyond `top` fall into the last bin."""
        if self.top <= 0:
            return
        magnitudes = np.abs(values[values != 0].astype(np.float32, copy=False))
        bins = np.minimum((magnitudes * (BINS / self.top)).astype(np.int32), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        return (np.arange(BINS, dtype=np.float64) + 0.5) * (self.top / BINS)


def minmax(histogram: Histogram) -> float:
    """The largest magnitude: nothing is clipped."""
    return histogram.top


def percentile(histogram: Histogram, share: float) -> float:
    """The magnitude below which `share` per cent of the values lie (upper edge of its bin)."""
    below = np.cumsum(histogram.counts)
    if not below[-1]:
        return histogram.top
    last = int(np.searchsorted(below, below[-1] * share / 100))
    return (min(last, BINS - 1) + 1) * histogram.top / BINS


def entropy(histogram: Histogram) -> float:
    """The range whose quantised distribution tells least from the clipped one, by Kullback–Leibler divergence.

    Source: S. Migacz, 8-bit inference with TensorRT, GTC 2017; searched over every STRIDE-th bin.
    """
    return _search(histogram, range(STEPS + 1, BINS + 1, STRIDE), _divergence)


def mse(histogram: Histogram) -> float:
    """The range with the least mean squared error, rounding and clipping together."""
    return _search(histogram, range(STRIDE, BINS + 1, STRIDE), _squared_error)


def range_of(histogram: Histogram, method: Method, share: float) -> float:
    """The range by that method; `share` is the percentile's, in per cent."""
    if method == "percentile":
        return percentile(histogram, share)
    return {"minmax": minmax, "entropy": entropy, "mse": mse}[method](histogram)


def _search(histogram: Histogram, ends: range, loss: Callable[[Histogram, int], float]) -> float:
    if not histogram.counts.any():
        return histogram.top
    best = min(ends, key=lambda end: loss(histogram, end))
    return best * histogram.top / BINS


def _divergence(histogram: Histogram, end: int) -> float:
    """KL(P ‖ Q): P are the first `end` bins with what lies beyond in the last, Q the same after 127 steps."""
    kept = histogram.counts[:end].astype(np.float64)
    clipped = kept.copy()
    clipped[-1] += histogram.counts[end:].sum()
    step = np.arange(end) * STEPS // end  # which of the 127 steps a bin falls into
    filled = kept > 0
    totals = np.bincount(step, weights=kept, minlength=STEPS)
    sharers = np.bincount(step, weights=filled, minlength=STEPS)
    quantised = np.where(filled, totals[step] / np.maximum(sharers[step], 1), 0.0)
    if not quantised.sum():
        return np.inf
    p, q = clipped / clipped.sum(), quantised / quantised.sum()
    there = p > 0
    # Where P has mass and Q has none the divergence is infinite; a tiny mass keeps candidates comparable.
    return float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-12))).sum())


def _squared_error(histogram: Histogram, end: int) -> float:
    centres, bound = histogram.centres, end * histogram.top / BINS
    step = bound / STEPS
    rounded = np.minimum(np.round(centres / step), STEPS) * step
    return float((histogram.counts * (centres - rounded) ** 2).sum())
