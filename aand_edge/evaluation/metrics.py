"""The four figures of an anomaly detector, each left out where the test split cannot define it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.errors import DataError, MissingDependencyError
from aand_edge.evaluation.aupro import FPR_LIMIT, area_under_roc, region_weights, stack_masks


@dataclass(frozen=True)
class Metrics:
    """Each figure lies between 0 and 1, higher is better; None where it is undefined.

    image_auroc   that an anomalous picture scores higher than a good one
    pixel_auroc   the same of pixels
    aupro         area under the per-region overlap curve up to a false-positive rate of 0.3
    f1_max        best F1 of any threshold on the picture scores
    """

    image_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    f1_max: float | None

    def to_dict(self) -> dict[str, float | None]:
        return asdict(self)


def evaluate(
    scores: NDArray[np.floating[Any]],
    anomalous: NDArray[np.bool_],
    maps: NDArray[np.floating[Any]] | None,
    masks: Sequence[NDArray[np.bool_] | None],
) -> Metrics:
    """Metrics of N test pictures.

    scores (N,), anomalous (N,), maps (N, S, S) or None, masks: N of bool (S, S), all false on a good picture, or
    None where a picture has no mask and counts for the image figures only. Raises DataError where lengths
    differ or a value is not finite.
    """
    values, labels = checked_scores(scores, anomalous)
    if len(masks) != len(values) or (maps is not None and len(maps) != len(values)):
        counts = f"{len(values)} scores, {len(masks)} masks" + ("" if maps is None else f" and {len(maps)} maps")
        raise DataError(f"{counts} do not belong together", "Give one of each for each picture.")
    image_auroc, f1_max = _image_figures(values, labels)
    pixel_auroc, region_overlap = (None, None) if maps is None else _pixel_figures(maps, masks)
    return Metrics(image_auroc, pixel_auroc, region_overlap, f1_max)


def checked_scores(
    scores: NDArray[np.floating[Any]], anomalous: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The scores as float64 and the labels as bool. Raises DataError on other lengths, NaN or infinity."""
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(anomalous, dtype=bool)
    if values.ndim != 1 or values.shape != labels.shape:
        raise DataError(
            f"scores of shape {values.shape} do not fit labels of shape {labels.shape}", "Give one label per score."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"{len(bad)} of {len(values)} scores are not finite, the first at position {bad[0]}",
            "Check the engine with `aand-edge inspect`.",
        )
    return values, labels


def _image_figures(scores: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Image AUROC and the best F1."""
    if anomalous.all() or not anomalous.any():
        return None, None
    try:
        from sklearn.metrics import precision_recall_curve, roc_auc_score
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The image metrics need scikit-learn, which is not installed",
            'Install it with `pip install "aand-edge[bench]"`.',
        ) from None
    precision, recall, _ = precision_recall_curve(anomalous, scores)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return float(roc_auc_score(anomalous, scores)), float(f1.max())


def _pixel_figures(
    maps: NDArray[np.floating[Any]], masks: Sequence[NDArray[np.bool_] | None]
) -> tuple[float | None, float | None]:
    """Pixel AUROC and AUPRO of the pictures that have a mask; the sorted normal pixels serve both."""
    kept = [mask for mask in masks if mask is not None]
    if len(kept) < len(masks):
        maps = maps[[mask is not None for mask in masks]]
    truth = stack_masks(maps, kept)
    if truth.all() or not truth.any():
        return None, None
    normal, anomalous = np.sort(maps[~truth]), maps[truth]
    overlap = area_under_roc(normal, anomalous, region_weights(truth), FPR_LIMIT)
    return area_under_roc(normal, anomalous), overlap
