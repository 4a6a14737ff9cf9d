"""Nearest neighbours in the teacher's features: what the teacher alone can tell, without any training.

A patch is F₂ beside F₃ (up-sampled to F₂'s grid), averaged over 3 × 3 neighbours as PatchCore does. Its anomaly is
the Euclidean distance to the nearest of at most `MOST` patches of good parts, drawn at random. The map is up-sampled
and blurred as AAND's, the score is its maximum. Nothing is tuned.
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

MOST = 30_000  # patches of good parts: 30 pictures' worth at 256²
CHUNK = 8  # pictures at a time


def patches(teacher: Teacher, pictures: Tensor) -> Tensor:
    """float32 (B, C₂ + C₃, S/8, S/8) of uint8 pictures (B, 3, S, S)."""
    _, f2, f3 = teacher(pictures.float())
    wide = F.interpolate(f3, size=f2.shape[-2:], mode="bilinear", align_corners=False)
    return F.avg_pool2d(torch.cat((f2, wide), dim=1), 3, stride=1, padding=1, count_include_pad=False)


@torch.no_grad()
def bank(teacher: Teacher, samples: Sequence[Sample], size: int, compute: Compute, seed: int) -> Tensor:
    """(M, C): patches of good parts, at most `MOST`; each picture gives an equal share."""
    generator = torch.Generator().manual_seed(seed)
    each = -(-MOST // len(samples))
    rows = []
    for part in in_chunks(len(samples), CHUNK):
        pictures = compute.pictures(load_pictures(samples[part], size))
        for one in patches(teacher, pictures).flatten(2).transpose(1, 2):  # (H·W, C)
            rows.append(one[torch.randperm(len(one), generator=generator)[:each].to(one.device)])
    return torch.cat(rows)[:MOST]


@torch.no_grad()
def anomaly_maps(teacher: Teacher, known: Tensor, pictures: Tensor, compute: Compute) -> Tensor:
    """(N, S, S) of uint8 pictures (N, 3, S, S)."""
    size = pictures.shape[-1]
    maps = []
    for part in in_chunks(len(pictures), CHUNK):
        features = patches(teacher, compute.pictures(pictures[part]))
        count, channels, height, width = features.shape
        queries = features.permute(0, 2, 3, 1).reshape(-1, channels)
        nearest = torch.cat([torch.cdist(rows, known).amin(dim=1) for rows in torch.split(queries, 1024)])
        grid = nearest.view(count, 1, height, width)
        maps.append(blur(F.interpolate(grid, size=(size, size), mode="bilinear", align_corners=True)[:, 0]).cpu())
    return torch.cat(maps)
