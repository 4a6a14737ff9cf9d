"""Nearest neighbours in the teacher's features: what the teacher alone can tell, without any training.

A patch is F₂ beside F₃ (up-sampled to F₂'s grid), averaged over 3 × 3 neighbours as PatchCore does. Its anomaly is
the Euclidean distance to the nearest patch of all good parts: none is left out, since with a tenth of them drawn at
random the image AUROC on screw is 0.84 in place of 0.94. The map is up-sampled and blurred as AAND's, the score is its
maximum. Nothing is tuned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from aand_edge.data.layouts import Sample
from aand_edge.model.aand import blur
from aand_edge.model.backbones import Teacher
from aand_edge.training.compute import Compute
from aand_edge.training.loop import in_chunks
from aand_edge.training.pictures import load_pictures

CHUNK = 8  # pictures at a time
QUERIES = 512  # patches that are compared with all known ones at a time


def patches(teacher: Teacher, pictures: Tensor) -> Tensor:
    """float32 (B, C₂ + C₃, S/8, S/8) of uint8 pictures (B, 3, S, S)."""
    _, f2, f3 = teacher(pictures.float())
    wide = F.interpolate(f3, size=f2.shape[-2:], mode="bilinear", align_corners=False)
    return F.avg_pool2d(torch.cat((f2, wide), dim=1), 3, stride=1, padding=1, count_include_pad=False)


@torch.no_grad()
def bank(teacher: Teacher, samples: Sequence[Sample], size: int, compute: Compute) -> Tensor:
    """(M, C): every patch of good parts."""
    rows = []
    for part in in_chunks(len(samples), CHUNK):
        pictures = compute.pictures(load_pictures(samples[part], size))
        rows.append(patches(teacher, pictures).permute(0, 2, 3, 1).flatten(0, 2))
    return torch.cat(rows)


@torch.no_grad()
def nearest(queries: Tensor, known: Tensor) -> Tensor:
    """(N,): Euclidean distance of each row of (N, C) to the nearest of (M, C)."""
    lengths = (known * known).sum(dim=1)
    squares = [
        (lengths - 2 * (rows @ known.T)).amin(dim=1) + (rows * rows).sum(dim=1)
        for rows in torch.split(queries, QUERIES)
    ]
    return torch.cat(squares).clamp_min(0).sqrt()


@torch.no_grad()
def anomaly_maps(teacher: Teacher, known: Tensor, pictures: Tensor, compute: Compute) -> Tensor:
    """(N, S, S) of uint8 pictures (N, 3, S, S)."""
    size = pictures.shape[-1]
    maps = []
    for part in in_chunks(len(pictures), CHUNK):
        features = patches(teacher, compute.pictures(pictures[part]))
        count, channels, height, width = features.shape
        queries = features.permute(0, 2, 3, 1).reshape(-1, channels)
        grid = nearest(queries, known).view(count, 1, height, width)
        maps.append(blur(F.interpolate(grid, size=(size, size), mode="bilinear", align_corners=True)[:, 0]).cpu())
    return torch.cat(maps)
