import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from aand_edge.errors import DataError, MissingDependencyError
from aand_edge.evaluation.aupro import aupro
from aand_edge.evaluation.metrics import Metrics, evaluate

SIZE = 8


def split(seed=0, good=5, anomalous=7):
    """Scores, labels, maps and masks of a test split whose maps see most of each defect."""
    draw = np.random.default_rng(seed)
    labels = np.array([False] * good + [True] * anomalous)
    masks = np.zeros((len(labels), SIZE, SIZE), bool)
    masks[good:, 2:5, 3:6] = True
    maps = draw.random(masks.shape, dtype=np.float32) + np.float32(0.5) * masks
    return maps.max(axis=(1, 2)), labels, maps, list(masks)


def test_image_figures_by_hand():
    metrics = evaluate(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]), None, [None] * 4)
    assert metrics.image_auroc == pytest.approx(0.75)
    assert metrics.f1_max == pytest.approx(0.8)  # rejecting from 0.35 up: precision 2/3, recall 1


def test_pixel_figures_agree_with_scikit_learn_and_with_aupro():
    scores, labels, maps, masks = split()
    metrics = evaluate(scores, labels, maps, masks)
    assert metrics.pixel_auroc == pytest.approx(roc_auc_score(np.ravel(masks), maps.ravel()), abs=1e-12)
    assert metrics.aupro == aupro(maps, masks)


def test_ties_agree_with_scikit_learn():
    scores, labels, maps, masks = split(1)
    maps = np.round(maps, 1)
    assert evaluate(scores, labels, maps, masks).pixel_auroc == pytest.approx(
        roc_auc_score(np.ravel(masks), maps.ravel()), abs=1e-12
    )


def test_a_picture_without_a_mask_counts_for_the_image_figures_only():
    scores, labels, maps, masks = split()
    unmasked = evaluate(scores, labels, maps, [*masks[:-1], None])
    without = evaluate(scores[:-1], labels[:-1], maps[:-1], masks[:-1])
    whole = evaluate(scores, labels, maps, masks)
    assert (unmasked.pixel_auroc, unmasked.aupro) == (without.pixel_auroc, without.aupro)
    assert (unmasked.image_auroc, unmasked.f1_max) == (whole.image_auroc, whole.f1_max)


@pytest.mark.parametrize(("good", "anomalous"), [(4, 0), (0, 4)])
def test_one_kind_of_picture_defines_no_image_figure(good, anomalous):
    metrics = evaluate(*split(good=good, anomalous=anomalous))
    assert metrics.image_auroc is None
    assert metrics.f1_max is None


def test_goods_alone_define_nothing():
    assert evaluate(*split(anomalous=0)) == Metrics(None, None, None, None)


def test_no_masks_and_no_maps_leave_the_pixel_figures_out():
    scores, labels, maps, masks = split()
    good_only = [mask if not label else None for mask, label in zip(masks, labels, strict=True)]
    for metrics in (evaluate(scores, labels, None, masks), evaluate(scores, labels, maps, good_only)):
        assert metrics.pixel_auroc is None
        assert metrics.aupro is None
        assert metrics.image_auroc is not None


def test_an_empty_split_defines_nothing():
    empty = np.zeros((0, SIZE, SIZE), np.float32)
    assert evaluate(np.array([]), np.array([], bool), empty, []) == Metrics(None, None, None, None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_or_maps_that_are_not_finite_are_refused(value):
    scores, labels, maps, masks = split()
    broken = scores.copy()
    broken[3] = value
    with pytest.raises(DataError, match="1 of 12 scores are not finite, the first at position 3"):
        evaluate(broken, labels, maps, masks)
    maps[2, 0, 0] = value
    with pytest.raises(DataError, match="map holds values that are not finite"):
        evaluate(scores, labels, maps, masks)


def test_counts_that_do_not_belong_together_are_refused():
    scores, labels, maps, masks = split()
    with pytest.raises(DataError, match="11 masks"):
        evaluate(scores, labels, maps, masks[:-1])
    with pytest.raises(DataError, match="11 maps"):
        evaluate(scores, labels, maps[:-1], masks)
    with pytest.raises(DataError, match="labels"):
        evaluate(scores, labels[:-1], maps, masks)


def test_to_dict_keeps_undefined_figures_as_none():
    assert Metrics(0.5, None, None, 1.0).to_dict() == {
        "image_auroc": 0.5, "pixel_auroc": None, "aupro": None, "f1_max": 1.0
    }  # fmt: skip


@pytest.mark.parametrize(("module", "name"), [("sklearn.metrics", "scikit-learn"), ("scipy.ndimage", "scipy")])
def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=name) as caught:
        evaluate(*split())
    assert 'pip install "aand-edge[bench]"' in caught.value.hint


def test_importing_it_loads_no_heavy_package():
    code = (
        "import sys, aand_edge.evaluation.metrics, aand_edge.evaluation.threshold\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'cv2', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
