"""AUPRO: area under the per-region overlap curve, exact and without a threshold sweep.

Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021, section 5.1. Per-region overlap (PRO) is the mean,
over connected components of the ground truth, of the share of a component that lies above the threshold. So the curve
of PRO over the false-positive rate is an ROC curve in which a pixel of a component of n pixels, one of K, weighs
1 / (n K), and each anomalous pixel adds its own share to the area, from the false-positive rate at its score onwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.errors import DataError, MissingDependencyError

FPR_LIMIT = 0.3

FloatArray = NDArray[np.floating[Any]]


def aupro(maps: FloatArray, masks: Sequence[NDArray[np.bool_]], limit: float = FPR_LIMIT) -> float | None:
    """AUPRO up to a false-positive rate of `limit`, divided by it: 0 to 1, or None where it is undefined.

    maps (N, H, W), higher is more anomalous; masks: N of bool (H, W), 8-connected components, all false on good
    pictures. None without an anomalous or without a normal pixel. Raises DataError where a map is not finite.
    """
    truth = stack_masks(maps, masks)
    normal = maps[~truth]
    if not truth.any() or normal.size == 0:
        return None
    return area_under_roc(np.sort(normal), maps[truth], region_weights(truth), limit)


def stack_masks(maps: FloatArray, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The masks as one bool array of the maps' shape. Raises DataError where shapes differ or a map is not finite."""
    shapes = {np.shape(mask) for mask in masks} - {maps.shape[1:]}
    if maps.ndim != 3 or len(maps) != len(masks) or shapes:
        raise DataError(
            f"{len(masks)} masks of shape {sorted(shapes) or maps.shape[1:]} do not fit anomaly maps {maps.shape}",
            "Resize each mask to its map.",
        )
    # min and max carry a NaN or an infinity through without a temporary array of the maps' size
    if maps.size and not np.isfinite([maps.min(), maps.max()]).all():
        raise DataError("an anomaly map holds values that are not finite", "Check the engine with `aand-edge inspect`.")
    return np.stack(masks).astype(bool, copy=False) if len(masks) else np.zeros(maps.shape, dtype=bool)


def region_weights(truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weight of each anomalous pixel of `truth` (N, H, W), in the order of `maps[truth]`; they sum to 1."""
    label = _connected_components()
    weights, regions = [], 0
    for mask in truth:
        if not mask.any():
            continue
        labels, found = label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        weights.append(1.0 / sizes[labels[mask]])
        regions += found
    return np.concatenate(weights) / regions


def _connected_components() -> Any:
    try:
        from scipy.ndimage import label
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "AUPRO needs scipy, which is not installed", 'Install it with `pip install "aand-edge[bench]"`.'
        ) from None
    return label


def area_under_roc(
    normal: FloatArray, anomalous: FloatArray, weights: NDArray[np.float64] | None = None, limit: float = 1.0
) -> float:
    """Area under a weighted ROC curve up to a false-positive rate of `limit`, divided by it.

    normal: ascending scores. anomalous: scores in any order, with weights that sum to 1 (equal where None).
    Equal scores make one sloping segment of the curve, as in MVTec's and scikit-learn's, and the segment that
    crosses the limit is cut there by linear interpolation.
    """
    start = 1.0 - np.searchsorted(normal, anomalous, side="right") / normal.size
    end = 1.0 - np.searchsorted(normal, anomalous, side="left") / normal.size
    # A score's share rises from 0 at `start` to 1 at `end` and stays: the area of that ramp left of the limit.
    seen = np.minimum(end, limit) - np.minimum(start, limit)
    slope = np.divide(seen, end - start, out=np.zeros_like(seen), where=end > start)
    areas = 0.5 * seen * slope + np.maximum(limit - end, 0.0)
    mean = areas.mean() if weights is None else np.dot(areas, weights)
    return float(mean / limit)
