"""Ranges from histograms: each method on distributions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aand_edge.export.ranges import BINS, STEPS, Histogram, Method, entropy, minmax, mse, percentile, range_of


def histogram(values: NDArray[np.float32]) -> Histogram:
    made = Histogram.up_to(float(np.abs(values).max()))
    made.add(values)
    return made


@pytest.fixture
def long_tail() -> NDArray[np.float32]:
    """A normal body, and one value in ten thousand far outside."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 200_000)
    values[:20] = rng.uniform(40, 80, 20)
    return values.astype(np.float32)


def test_a_histogram_counts_magnitudes_and_leaves_zeros_out() -> None:
    made = Histogram.up_to(2.0)
    made.add(np.array([0, 0, 0, -0.5, 0.5, 2.0, -2.0], np.float32))
    assert made.counts.sum() == 4
    assert made.counts[BINS // 4] == 2
    assert made.counts[-1] == 2


def test_pictures_add_up(long_tail: NDArray[np.float32]) -> None:
    whole, parts = histogram(long_tail), Histogram.up_to(float(np.abs(long_tail).max()))
    for part in np.array_split(long_tail, 7):
        parts.add(part)
    assert (whole.counts == parts.counts).all()


def test_minmax_clips_nothing(long_tail: NDArray[np.float32]) -> None:
    assert minmax(histogram(long_tail)) == np.abs(long_tail).max()


@pytest.mark.parametrize("share", [50.0, 99.0, 99.9])
def test_percentile_is_numpys_to_a_bin(long_tail: NDArray[np.float32], share: float) -> None:
    made = histogram(long_tail)
    assert percentile(made, share) == pytest.approx(np.percentile(np.abs(long_tail), share), abs=1.01 * made.top / BINS)


def test_the_hundredth_percentile_is_the_maximum(long_tail: NDArray[np.float32]) -> None:
    made = histogram(long_tail)
    assert percentile(made, 100) == pytest.approx(made.top)


def test_searches_cut_a_far_tail_and_keep_the_body(long_tail: NDArray[np.float32]) -> None:
    made = histogram(long_tail)
    for search in (entropy, mse):
        assert 3 < search(made) < 0.9 * made.top, search.__name__


def test_mse_finds_the_least_squared_error(long_tail: NDArray[np.float32]) -> None:
    def error(bound: float) -> float:
        step = bound / STEPS
        return float(((np.clip(np.round(long_tail / step), -STEPS, STEPS) * step - long_tail) ** 2).mean())

    found = mse(histogram(long_tail))
    tried = [error(bound) for bound in np.linspace(2, float(np.abs(long_tail).max()), 200)]
    assert error(found) <= 1.02 * min(tried)


def test_uniform_values_are_not_cut() -> None:
    values = np.random.default_rng(1).uniform(-3, 3, 100_000).astype(np.float32)
    for method in ("minmax", "percentile", "entropy", "mse"):
        assert range_of(histogram(values), method, 99.99) > 2.8, method


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
def test_a_tensor_of_zeros_has_range_zero(method: Method) -> None:
    empty = Histogram.up_to(0.0)
    empty.add(np.zeros(10, np.float32))
    assert range_of(empty, method, 99.9) == 0
