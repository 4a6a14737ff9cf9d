"""Held-out pictures with synthetic anomalies: what stands in for defects where none may be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aand_edge.data.foreground import foreground
from aand_edge.data.synthesis import Synthesiser, procedural_textures
from aand_edge.errors import DataError
from aand_edge.graph_facts import GraphFacts

TEXTURES = 64
SEED = 20  # of its own, so that no anomaly is one that training saw
DRAWN_AT = 512  # pixels: on larger frames anomalies are drawn smaller and enlarged, so that memory stays small
AT_ONCE = 8  # pictures


@dataclass(frozen=True)
class AnomalousFrames:
    """N frames uint8 (H, W, 3) in the graph's channel order; N masks bool (H, W), each with an anomaly in it.

    Not stacked: the frames of a camera fill memory as it is, and an array of all of them would hold them twice.
    """

    frames: tuple[NDArray[np.uint8], ...]
    masks: tuple[NDArray[np.bool_], ...]


def with_anomalies(frames: NDArray[np.uint8], facts: GraphFacts, seed: int = SEED) -> AnomalousFrames:
    """Each of uint8 (N, H, W, 3) frames with an anomaly on its foreground, within the graph's region, in their order.

    A picture that the synthesis left clean is left out, so fewer than N may come back. Raises DataError where none
    is left.
    """
    generator = torch.Generator().manual_seed(seed)
    made = [
        pair
        for start in range(0, len(frames), AT_ONCE)
        for pair in _altered(frames[start : start + AT_ONCE], facts, generator)
    ]
    if not made:
        raise DataError(
            "No synthetic anomaly could be put on the held-out pictures: no foreground was found in them",
            "Check --roi, or judge labelled pictures with --data.",
        )
    return AnomalousFrames(tuple(frame for frame, _ in made), tuple(mask for _, mask in made))


def _altered(
    frames: NDArray[np.uint8], facts: GraphFacts, generator: torch.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """A few frames at a time: those that got an anomaly, and where."""
    scale = min(1.0, DRAWN_AT / max(frames.shape[1:3]))
    small = np.stack([_resized(frame, scale) for frame in frames])
    height, width = small.shape[1:3]
    side = max(height, width)  # anomalies are made in squares
    rgb = small if facts.colour == "RGB" else small[..., ::-1]
    where = np.stack([foreground(np.ascontiguousarray(each)) & _region(facts, (height, width)) for each in rgb])
    beside = (0, side - width, 0, side - height)
    pictures = F.pad(torch.from_numpy(small).permute(0, 3, 1, 2), beside)
    textures = torch.cat((pictures, _textures(side)))
    made = Synthesiser(textures)(pictures, F.pad(torch.from_numpy(where)[:, None], beside), generator)
    drawn = made.mask[:, 0, :height, :width].numpy() > 0
    altered = made.pictures.permute(0, 2, 3, 1)[:, :height, :width].numpy()
    for frame, before, after, mask in zip(frames, small, altered, drawn, strict=True):
        if mask.any():
            yield _onto(frame, after - before, mask)


def _onto(
    frame: NDArray[np.uint8], change: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The frame with a change that was drawn smaller: the frame's own detail shows through as it would on a part."""
    size = frame.shape[1], frame.shape[0]
    within = np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)) > 0
    enlarged = np.asarray(cv2.resize(np.ascontiguousarray(change), size, interpolation=cv2.INTER_LINEAR))
    changed = np.clip(np.rint(frame + enlarged), 0, 255).astype(np.uint8)
    return np.where(within[..., None], changed, frame), within


def _resized(frame: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return np.ascontiguousarray(frame)
    small = cv2.resize(np.ascontiguousarray(frame), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _region(facts: GraphFacts, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """bool at `shape`: the part of the frame that the graph looks at; an anomaly elsewhere would be a good part."""
    inside = np.zeros(facts.frame, dtype=np.uint8)
    x, y, width, height = facts.roi or (0, 0, facts.frame[1], facts.frame[0])
    inside[y : y + height, x : x + width] = 1
    small = cv2.resize(inside, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small) > 0


@lru_cache(maxsize=1)
def _textures(side: int) -> Tensor:
    """uint8 (64, 3, side, side), the same every time; drawing them takes longer than blending them."""
    return procedural_textures(TEXTURES, side, torch.Generator().manual_seed(SEED))
