"""Held-out pictures with synthetic anomalies: what stands in for defects where none may be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from aand_edge.data.foreground import foreground
from aand_edge.data.synthesis import Synthesiser, procedural_textures

TEXTURES = 64
SEED = 20  # of its own, so that no anomaly is one that training saw


@dataclass(frozen=True)
class AnomalousFrames:
    """frames uint8 (N, H, W, 3) in the given channel order; masks bool (N, H, W), each with an anomaly in it."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]


def with_anomalies(frames: NDArray[np.uint8], colour: str, seed: int = SEED) -> AnomalousFrames:
    """Each of uint8 (N, H, W, 3) frames with an anomaly on its foreground, in the same order.

    A picture that the synthesis left clean is left out, so fewer than N may come back.
    """
    height, width = frames.shape[1:3]
    side = max(height, width)  # anomalies are made in squares
    rgb = frames if colour == "RGB" else frames[..., ::-1]
    masks = np.stack([foreground(np.ascontiguousarray(frame)) for frame in rgb])
    beside = (0, side - width, 0, side - height)
    pictures = F.pad(torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2), beside)
    where = F.pad(torch.from_numpy(masks)[:, None], beside)
    generator = torch.Generator().manual_seed(seed)
    textures = torch.cat((pictures, procedural_textures(TEXTURES, side, generator)))
    made = Synthesiser(textures)(pictures, where, generator)
    drawn = made.mask[:, 0, :height, :width].numpy() > 0
    altered = made.pictures.round().clamp(0, 255).byte().permute(0, 2, 3, 1)[:, :height, :width].numpy()
    kept = drawn.any(axis=(1, 2))
    return AnomalousFrames(np.ascontiguousarray(altered[kept]), drawn[kept])
