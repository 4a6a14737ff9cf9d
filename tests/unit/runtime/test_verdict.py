"""From a raw map to pass or reject, and where the defect is."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from aand_edge.artifacts import Threshold
from aand_edge.engines.base import Outputs
from aand_edge.errors import AandEdgeError
from aand_edge.runtime.verdict import defect_regions, judge, overlay

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def spots() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Two spots of 2 × 3 and 4 × 4 on a map of 32²."""
    anomaly_map = np.full((32, 32), 0.1, np.float32)
    anomaly_map[4:6, 8:11] = 0.9
    anomaly_map[20:24, 20:24] = 1.2
    return anomaly_map


def outputs(*maps: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Outputs:
    stacked = np.stack(maps)
    return Outputs(stacked, stacked.max(axis=(1, 2)))


def test_regions_are_told_in_pixels_of_the_frame_largest_first() -> None:
    large, small = defect_regions(spots(), 0.5, (320, 640))
    assert (large.x, large.y, large.width, large.height, large.area) == (400, 200, 80, 40, 3200)
    assert (small.x, small.y, small.width, small.height, small.area) == (160, 40, 60, 20, 1200)


def test_a_region_encloses_its_spot_and_stays_in_the_frame() -> None:
    anomaly_map = np.zeros((10, 10), np.float32)
    anomaly_map[8:10, 8:10] = 1
    (region,) = defect_regions(anomaly_map, 0.5, (17, 7))
    assert (region.x, region.y, region.x + region.width, region.y + region.height) == (5, 13, 7, 17)
    assert region.area == pytest.approx(4 * 1.7 * 0.7)


def test_an_answer_that_is_no_number_never_passes() -> None:
    broken = np.full((32, 32), np.nan, np.float32)
    with pytest.raises(AandEdgeError, match="not finite"):
        judge(outputs(broken), Threshold(value=0.5, rule="manual"), (32, 32))


def test_a_broken_spot_never_passes_behind_a_finite_score() -> None:
    broken = np.full((32, 32), 0.1, np.float32)
    broken[7, 7] = np.nan
    with pytest.raises(AandEdgeError, match="not finite"):
        judge(Outputs(broken[None], np.array([0.1], np.float32)), Threshold(value=0.5, rule="manual"), (32, 32))


def test_spots_that_touch_at_a_corner_are_one_defect() -> None:
    anomaly_map = np.zeros((8, 8), np.float32)
    anomaly_map[2, 2] = anomaly_map[3, 3] = 1
    assert len(defect_regions(anomaly_map, 0.5, (8, 8))) == 1


def test_a_part_is_rejected_strictly_above_the_threshold_and_then_has_a_region() -> None:
    good, bad = np.full((32, 32), 0.5, np.float32), spots()
    verdicts = judge(outputs(good, bad), Threshold(value=0.5, rule="manual"), (32, 32))
    assert [verdict.rejected for verdict in verdicts] == [False, True]
    assert [len(verdict.regions) for verdict in verdicts] == [0, 2]


def test_a_good_part_looks_clean_and_a_defect_glows() -> None:
    picture = np.full((64, 64, 3), 100, np.uint8)
    assert np.array_equal(overlay(picture, np.full((32, 32), 0.1, np.float32), 0.5), picture)
    heated = overlay(picture, spots(), 0.5)
    assert not np.array_equal(heated[42:46, 42:46], picture[42:46, 42:46])
    assert np.array_equal(heated[0, 0], picture[0, 0])
    assert (picture == 100).all()


def test_a_defect_looks_the_same_whatever_glows_beside_it() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    one = spots()
    one[20:24, 20:24] = 0.1
    both, alone = overlay(picture, spots(), 0.5), overlay(picture, one, 0.5)
    assert not np.array_equal(alone[:30], picture[:30])
    assert np.array_equal(alone[:30], both[:30])
    assert np.array_equal(alone[30:], picture[30:])
