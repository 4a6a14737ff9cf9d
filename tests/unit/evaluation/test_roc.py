"""Area under the ROC and the PRO curve against their literal definitions, with ties and with labels of one kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from aand_edge.evaluation.aupro import area_under_roc, aupro
from aand_edge.evaluation.metrics import evaluate
from tests.unit.evaluation.test_aupro import regions_of

FEW = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
ANY = st.floats(-1e6, 1e6, width=32)
SCORES = st.one_of(st.lists(FEW, max_size=40), st.lists(ANY, max_size=40))


def by_pairs(normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> float:
    """The share of pairs that are ranked right; a tie is half a pair."""
    differences = anomalous[:, None] - normal[None, :]
    return float(np.mean(np.where(differences == 0, 0.5, differences > 0)))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SCORES, st.data())
def test_image_auroc_is_that_of_all_pairs_and_of_scikit_learn(values: list[float], data: st.DataObject) -> None:
    scores = np.array(values, np.float32)
    labels = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), bool)
    found = evaluate(scores, labels, None, [None] * len(scores)).image_auroc
    if labels.all() or not labels.any():
        assert found is None
        return
    doubles = scores.astype(np.float64)
    assert found == pytest.approx(by_pairs(doubles[~labels], doubles[labels]), abs=1e-6)
    assert found == pytest.approx(float(roc_auc_score(labels, doubles)), abs=1e-6)
    assert area_under_roc(np.sort(scores[~labels]), scores[labels]) == pytest.approx(found, abs=1e-6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(arrays(np.float32, (2, 4, 5), elements=st.one_of(FEW, ANY)), arrays(np.bool_, (2, 4, 5)))
def test_pixel_auroc_is_that_of_all_pairs_and_of_scikit_learn(
    maps: NDArray[np.float32], masks: NDArray[np.bool_]
) -> None:
    found = evaluate(maps.max(axis=(1, 2)), masks.any(axis=(1, 2)), maps, list(masks)).pixel_auroc
    if masks.all() or not masks.any():
        assert found is None
        return
    doubles = maps.astype(np.float64)
    assert found == pytest.approx(by_pairs(doubles[~masks], doubles[masks]), abs=1e-6)
    assert found == pytest.approx(float(roc_auc_score(masks.ravel(), doubles.ravel())), abs=1e-6)


def literal_aupro(maps: NDArray[np.float32], masks: NDArray[np.bool_], limit: float) -> float:
    """Every threshold in turn, each region by itself: the mean of their shares above it over the rate of normal pixels.

    The counts at a threshold are differences of sorted positions, for a loop over 131 072 thresholds takes minutes.
    """
    thresholds = np.unique(maps)[::-1]
    normal = np.sort(maps[~masks])

    def above(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return 1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values)

    regions = [np.array([maps[place] for place in region]) for region in regions_of(masks)]
    overlap = np.concatenate([[0.0], np.mean([above(region) for region in regions], axis=0)])
    rate = np.concatenate([[0.0], above(normal)])
    inside = rate <= limit
    cut = float(np.interp(limit, rate, overlap)) if not inside.all() else float(overlap[-1])
    x, y = np.append(rate[inside], limit), np.append(overlap[inside], cut)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit)


@pytest.mark.parametrize("steps", [None, 50])
def test_aupro_of_whole_maps_is_the_literal_one(steps: int | None) -> None:
    """Two maps of 256 pixels a side with regions of 1 to 4 000 pixels; with `steps` values nearly all pixels tie."""
    draw = np.random.default_rng(5)
    masks = np.zeros((2, 256, 256), bool)
    masks[0, 20:24, 30:31] = True
    masks[0, 100:163, 90:153] = True
    masks[0, 24, 31] = True  # touches the first by a corner
    masks[1, 255, 0] = True
    masks[1, 5:20, 200:240] = True
    maps = (draw.random(masks.shape) + 0.6 * masks * draw.random(masks.shape)).astype(np.float32)
    if steps is not None:
        maps = np.floor(maps * steps).astype(np.float32) / np.float32(steps)
    assert len(regions_of(masks)) == 4
    for limit in (0.05, 0.3, 1.0):
        assert aupro(maps, list(masks), limit) == pytest.approx(literal_aupro(maps, masks, limit), abs=1e-6)
