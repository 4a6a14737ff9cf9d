"""How much each of the three levels counts in the anomaly map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from aand_edge.model.aand import Aand, LevelWeights, cosine_distance
from aand_edge.training.compute import Compute, full_float32
from aand_edge.training.loop import in_chunks
from aand_edge.training.options import Levels

# What of a level's distances on good parts becomes the same for all levels.
EVENED: Mapping[Levels, Callable[[Tensor], Tensor]] = {
    "scaled": lambda distances: distances.mean(),
    "standardised": lambda distances: distances.std(correction=0),
}


def weights_on(model: Aand, pictures: Tensor, compute: Compute, levels: Levels) -> LevelWeights:
    """`even_weights` on good parts.

    pictures   uint8 (N, 3, S, S), held out: on those that it was trained on the student is too even
    """
    model.eval()
    distances: list[list[Tensor]] = [[], [], []]
    with torch.no_grad(), full_float32():
        for rows in in_chunks(len(pictures), 8):
            advanced = model.advanced(compute.pictures(pictures[rows]).float())
            for level, (a, s) in enumerate(zip(advanced, model.restore(advanced), strict=True)):
                distances[level].append(cosine_distance(a, s).cpu())
    return even_weights([torch.cat(level) for level in distances], levels)


def even_weights(distances: Sequence[Tensor], levels: Levels) -> LevelWeights:
    """Weights that give all levels one mean, or one standard deviation; three in sum, as the paper's 1, 1, 1.

    distances   1 − cos of each level, (N, H_k, W_k), before they are up-sampled
    levels      one of `EVENED`
    """
    inverse = torch.stack([1 / EVENED[levels](level.double()).clamp_min(1e-6) for level in distances])
    first, second, third = (3 * inverse / inverse.sum()).tolist()
    return first, second, third
