"""How much each of the three levels counts in the anomaly map."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from aand_edge.model.aand import Aand, LevelWeights, cosine_distance
from aand_edge.training.compute import Compute, full_float32
from aand_edge.training.loop import in_chunks

Levels = Literal["equal", "standardised"]


def standardised(model: Aand, pictures: Tensor, compute: Compute) -> LevelWeights:
    """Weights that give all levels one standard deviation on good parts; three in sum, as the paper's 1, 1, 1.

    pictures   uint8 (N, 3, S, S), held out: on those that it was trained on the student is too even
    """
    model.eval()
    sums, squares = torch.zeros(2, 3, dtype=torch.float64)
    with torch.no_grad(), full_float32():
        for rows in in_chunks(len(pictures), 8):
            advanced = model.advanced(compute.pictures(pictures[rows]).float())
            levels = [cosine_distance(a, s).double() for a, s in zip(advanced, model.restore(advanced), strict=True)]
            sums += torch.stack([level.mean(dim=(1, 2)).sum() for level in levels]).cpu()
            squares += torch.stack([level.square().mean(dim=(1, 2)).sum() for level in levels]).cpu()
    variances = squares / len(pictures) - (sums / len(pictures)).square()
    inverse = variances.clamp_min(1e-12).rsqrt()
    first, second, third = (3 * inverse / inverse.sum()).tolist()
    return first, second, third
