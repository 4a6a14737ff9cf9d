"""How much each of the three levels counts in the anomaly map."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from aand_edge.model.aand import Aand, LevelWeights, cosine_distance
from aand_edge.training.compute import Compute, full_float32
from aand_edge.training.loop import in_chunks

Levels = Literal["equal", "balanced"]
PICTURES = 64  # enough: their mean is one over 16,000 patches or more


def balanced(model: Aand, pictures: Tensor, compute: Compute) -> LevelWeights:
    """Weights that make the levels' mean distances on good parts equal, three in sum as the paper's 1, 1, 1.

    pictures   uint8 (N, 3, S, S) that were trained on: what is held out stays unseen until the threshold is drawn
    """
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad(), full_float32():
        for rows in in_chunks(min(len(pictures), PICTURES), 8):
            advanced = model.advanced(compute.pictures(pictures[rows]).float())
            levels = zip(advanced, model.restore(advanced), strict=True)
            sums += torch.stack([cosine_distance(a, s).mean(dim=(1, 2)).sum().cpu() for a, s in levels])
    inverse = 1 / sums.clamp_min(1e-12)
    first, second, third = (3 * inverse / inverse.sum()).tolist()
    return first, second, third
