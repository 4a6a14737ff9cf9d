"""The losses of both stages.

Stage one: focal on the gate (trains φ₁ and the memory) + 0.1 · amplification on the residual (trains φ₂).
Stage two: hard knowledge distillation (trains bottleneck and student).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aand_edge.model.aand import cosine_distance
from aand_edge.model.amplification import EPS, Amplifier
from aand_edge.model.backbones import Features
from aand_edge.model.choices import HARD_PATCHES

FOCAL_ALPHA = 0.8  # weight of the anomalous class
FOCAL_GAMMA = 2.0
AMPLIFY_MARGIN = 0.3
AMPLIFY_WEIGHT = 0.1
MAX_NORMAL, MAX_ANOMALOUS = 5000, 1000  # patches of each kind that are paired, a level


def focal(gate: Tensor, mask: Tensor) -> Tensor:
    """Mean focal loss of the gate w (B, 1, H, W) against the patch mask (0 or 1, same shape)."""
    right = torch.where(mask > 0.5, gate, 1 - gate).clamp_min(EPS)
    weight = torch.where(mask > 0.5, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return -(weight * (1 - right) ** FOCAL_GAMMA * right.log()).mean()


def amplification(
    amplifier: Amplifier, features: Tensor, mask: Tensor, foreground: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Push anomalous patches away from normal ones by a margin of cosine similarity.

    Mean over pairs (n, a) of ReLU(cos(F_n, F_A,a) − (cos(F_n, F_a) − 0.3)), with F_A,a = F_a + Δ_a: n a normal
    foreground patch, a an anomalous patch anywhere in the batch. 0 where either kind is missing. Only the sampled
    anomalous patches pass through φ₂, since no other patch's residual enters the loss.

    features: (B, C, H, W). mask, foreground: (B, 1, H, W), 0 or 1.
    """
    patches = features.permute(0, 2, 3, 1).flatten(0, 2)  # (B·H·W, C)
    anomalous = mask.flatten() > 0.5
    normal = (foreground.flatten() > 0.5) & ~anomalous
    rows_n, rows_a = _sample(normal, MAX_NORMAL, generator), _sample(anomalous, MAX_ANOMALOUS, generator)
    if len(rows_n) == 0 or len(rows_a) == 0:
        return features.new_zeros(())
    vanilla = patches[rows_a]  # (A, C)
    advanced = vanilla + amplifier.residual(vanilla[:, :, None, None])[:, :, 0, 0]
    reference = F.normalize(patches[rows_n].float(), dim=1, eps=EPS)  # (N, C)
    before = reference @ F.normalize(vanilla.float(), dim=1, eps=EPS).T
    after = reference @ F.normalize(advanced.float(), dim=1, eps=EPS).T
    return (after - before + AMPLIFY_MARGIN).relu().mean()


def _sample(chosen: Tensor, most: int, generator: torch.Generator | None) -> Tensor:
    """At most `most` row numbers where `chosen` is true, drawn without replacement."""
    rows = chosen.nonzero()[:, 0]
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=generator)[:most].to(rows.device)]


def distillation(advanced: Features, student: Features, hard_patches: int = HARD_PATCHES) -> Tensor:
    """HKD, summed over levels and averaged over the batch.

    1 − cos of each picture's *flattened* C·H·W vectors (as RD4AD) + the mean of its K_h largest per-location
    distances. `hard_patches` = 0 leaves the second term out: reverse distillation's loss.
    """
    total = advanced[0].new_zeros(())
    for target, answer in zip(advanced, student, strict=True):
        total = total + cosine_distance(target.flatten(1)[:, :, None, None], answer.flatten(1)[:, :, None, None]).mean()
        if hard_patches:
            distances = cosine_distance(target, answer).flatten(1)
            total = total + distances.topk(min(hard_patches, distances.shape[1]), dim=1).values.mean()
    return total
