"""`aand-edge eval`: the PyTorch model on the test split, the reference that every engine is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aand_edge.artifacts import CARD, ModelCard, Region
from aand_edge.data.layouts import Category
from aand_edge.data.masks import sample_mask
from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import uncrop
from aand_edge.errors import UsageError
from aand_edge.evaluation.metrics import Metrics, evaluate
from aand_edge.training.checkpoint import load_model
from aand_edge.training.compute import Compute, find_device, full_float32
from aand_edge.training.pictures import as_network_sees


def evaluate_model(
    folder: Path, category: Category, device: str = "auto", progress: Callable[[int, int], None] | None = None
) -> tuple[ModelCard, Metrics]:
    """Score every test picture in float32, and write the metrics onto the model's card if they are of its category.

    Raises UsageError where there are no test pictures, DataError where one cannot be read.
    """
    if not category.test:
        raise UsageError(f"{category.root} has no test pictures", "Point --data at a category with a test split.")
    model, card = load_model(folder)
    compute = Compute(find_device(device), torch.float32)
    compute.place(model)
    maps, scores, masks = [], [], []
    with torch.no_grad(), full_float32():
        for number, sample in enumerate(category.test):
            picture = read_picture(sample.path)
            seen = torch.from_numpy(as_network_sees(picture, card.size, card.region))
            batch = compute.pictures(seen[None].permute(0, 3, 1, 2).float())
            anomaly_map, score = model(batch)
            maps.append(_whole(anomaly_map[0].cpu().numpy(), card.region))
            scores.append(float(score[0]))
            shape = (maps[-1].shape[0], maps[-1].shape[1])
            masks.append(sample_mask(sample, (picture.shape[0], picture.shape[1]), shape))
            if progress:
                progress(number + 1, len(category.test))
    anomalous = np.array([sample.anomalous for sample in category.test])
    metrics = evaluate(np.array(scores), anomalous, np.stack(maps), masks)
    if category.name == card.data["category"]:
        card.metrics = metrics.to_dict()
        card.write(folder / CARD)
    return card, metrics


def _whole(anomaly_map: NDArray[np.float32], region: Region | None) -> NDArray[np.float32]:
    """The map of the whole picture: a defect beside the region is one that was missed."""
    return anomaly_map if region is None else uncrop(anomaly_map, region.frame, region.roi)
