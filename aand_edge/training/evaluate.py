"""`aand-edge eval`: the PyTorch model on the test split, the reference that every engine is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from aand_edge.artifacts import ModelCard
from aand_edge.data.layouts import Category, Sample
from aand_edge.data.pictures import read_mask, read_picture
from aand_edge.data.resize import resize, resize_mask
from aand_edge.errors import UsageError
from aand_edge.evaluation.metrics import Metrics, evaluate
from aand_edge.training.checkpoint import CARD, load_model
from aand_edge.training.compute import choose_compute


def evaluate_model(
    folder: Path, category: Category, device: str = "auto", progress: Callable[[int, int], None] | None = None
) -> tuple[ModelCard, Metrics]:
    """Score every test picture in float32, and write the metrics onto the model's card.

    Raises UsageError where there are no test pictures, DataError where one cannot be read.
    """
    if not category.test:
        raise UsageError(f"{category.root} has no test pictures", "Point --data at a category with a test split.")
    model, card = load_model(folder)
    compute = choose_compute(device)
    compute.place(model)
    maps, scores = [], []
    with torch.no_grad():
        for number, sample in enumerate(category.test):
            picture = resize(read_picture(sample.path), card.size, card.size)
            batch = compute.pictures(torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float())
            anomaly_map, score = model(batch)
            maps.append(anomaly_map[0].cpu().numpy())
            scores.append(float(score[0]))
            if progress:
                progress(number + 1, len(category.test))
    anomalous = np.array([sample.anomalous for sample in category.test])
    masks = [_mask(sample, card.size) for sample in category.test]
    metrics = evaluate(np.array(scores), anomalous, np.stack(maps), masks)
    card.metrics = metrics.to_dict()
    card.write(folder / CARD)
    return card, metrics


def _mask(sample: Sample, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None:
    if not sample.anomalous:
        return np.zeros((size, size), dtype=bool)
    if sample.mask is None:
        return None
    shape = read_picture(sample.path).shape
    return resize_mask(read_mask(sample.mask, (shape[0], shape[1])), size, size)
