import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aand_edge.errors import DataError
from aand_edge.evaluation.aupro import area_under_roc, aupro, region_weights


def regions_of(masks):
    """Each 8-connected component as a set of (picture, row, column), by flood fill."""
    left = {tuple(place) for place in np.argwhere(masks)}
    regions = []
    while left:
        region, border = set(), [left.pop()]
        while border:
            n, row, column = border.pop()
            region.add((n, row, column))
            around = {(n, row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= around
            border += around
        regions.append(region)
    return regions


def literal_aupro(maps, masks, limit=0.3):
    """The definition, word by word: sweep every threshold, then the area under the polygon up to the limit."""
    regions, normal = regions_of(masks), maps[~masks]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        overlap = np.mean([np.mean([maps[place] >= threshold for place in region]) for region in regions])
        points.append((np.mean(normal >= threshold), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit:
            break
        if x1 > limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            x1 = limit
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def picture(rows, kind=float):
    return np.array([rows], dtype=kind)


def test_a_perfect_map_reaches_one():
    mask = picture([[0, 0, 1], [0, 0, 1]], bool)
    assert aupro(mask.astype(float), mask) == pytest.approx(1.0)


def test_an_inverted_map_reaches_zero():
    mask = np.zeros((1, 10, 10), bool)
    mask[0, 0, 0] = True
    assert aupro(1.0 - mask, mask) == pytest.approx(0.0)


def test_a_constant_map_is_the_diagonal():
    mask = picture([[1, 0, 0, 0]], bool)
    assert aupro(np.full(mask.shape, 0.5), mask) == pytest.approx(0.15)  # ∫₀^0.3 x dx / 0.3


def test_a_small_and_a_large_region_count_alike():
    mask = np.zeros((1, 4, 10), bool)
    mask[0, :2, :3] = True  # six pixels, found at once
    mask[0, 3, 9] = True  # one pixel, never found
    maps = np.where(mask, 0.0, 0.5)
    maps[0, :2, :3] = 1.0
    # (0, 0) → (0, 1/2) → all normal pixels in one segment (1, 1/2)
    assert aupro(maps, mask) == pytest.approx(0.5)


def test_a_segment_that_crosses_the_limit_is_cut_there():
    # ten normal pixels; six of them tie with the only anomalous one: from (0.2, 0) to (0.8, 1)
    maps = picture([[0.5, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1]])
    mask = picture([[1] + [0] * 10], bool)
    height_at_limit = (0.3 - 0.2) / 0.6
    assert aupro(maps, mask) == pytest.approx(0.1 * height_at_limit / 2 / 0.3)


def test_diagonal_neighbours_are_one_region():
    joined = picture([[1, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    apart = picture([[1, 0, 0], [0, 0, 0], [0, 0, 1]], bool)
    assert region_weights(joined).tolist() == [0.5, 0.5]
    assert region_weights(apart).tolist() == [0.5, 0.5]
    three = picture([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    assert region_weights(three).tolist() == [0.25, 0.25, 0.5]


def test_regions_of_two_pictures_are_never_joined():
    masks = np.ones((2, 1, 2), bool)
    assert region_weights(masks).tolist() == [0.25] * 4


@pytest.mark.parametrize("mask", [np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool), np.zeros((0, 3, 3), bool)])
def test_undefined_without_anomalous_or_without_normal_pixels(mask):
    assert aupro(np.zeros(mask.shape), list(mask)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_is_refused(value):
    maps = np.zeros((1, 2, 2))
    maps[0, 1, 1] = value
    with pytest.raises(DataError, match="not finite"):
        aupro(maps, [np.eye(2, dtype=bool)])


def test_masks_of_another_shape_or_number_are_refused():
    with pytest.raises(DataError, match=r"\(3, 3\).*\(1, 2, 2\)"):
        aupro(np.zeros((1, 2, 2)), [np.zeros((3, 3), bool)])
    with pytest.raises(DataError, match="2 masks"):
        aupro(np.zeros((1, 2, 2)), [np.zeros((2, 2), bool)] * 2)


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_literal_definition_on_random_maps(seed, levels):
    draw = np.random.default_rng(seed)
    masks = draw.random((3, 9, 8)) > 0.8
    maps = np.float32(draw.integers(0, levels, masks.shape) / levels + 0.3 * masks)
    assert aupro(maps, masks) == pytest.approx(literal_aupro(maps, masks), abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(
    arrays(np.float32, (2, 4, 5), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    arrays(np.bool_, (2, 4, 5)),
    st.sampled_from([0.05, 0.3, 1.0]),
)
def test_equals_the_literal_definition_whatever_the_ties(maps, masks, limit):
    if masks.any() and not masks.all():
        assert aupro(maps, masks, limit) == pytest.approx(literal_aupro(maps, masks, limit), abs=1e-6)
    else:
        assert aupro(maps, masks, limit) is None


def test_does_not_change_under_a_rising_transform_of_the_maps():
    draw = np.random.default_rng(3)
    maps, masks = draw.random((2, 16, 16)), draw.random((2, 16, 16)) > 0.9
    assert aupro(maps, masks) == pytest.approx(aupro(np.exp(3 * maps), masks), abs=1e-12)


def test_a_roc_area_without_weights_is_the_chance_of_ranking_right():
    assert area_under_roc(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx((1.5 + 3) / 6)


def test_the_size_of_a_test_split_takes_seconds_at_most():
    draw = np.random.default_rng(0)
    maps = draw.random((160, 256, 256), dtype=np.float32)
    masks = np.zeros(maps.shape, bool)
    masks[:120, 40:70, 60:90] = True
    start = time.perf_counter()
    assert aupro(maps, masks) == pytest.approx(0.15, abs=0.01)
    assert time.perf_counter() - start < 5  # about 0.3 s alone on one core; the machine may be busy
