"""Where half precision would overflow: layers whose values, on the pictures of the line, come near 65504.

Such a layer's region stays in float32, and so does every region that reads what is too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from aand_edge.model.fused import FusedAand

# Half of float16's largest number: good pictures are looked at, and a defect excites a layer more than they do.
LIMIT = 65504 / 2

# Which regions read what a region answers with.
READERS = {
    "stem": ("teacher1",),
    "teacher1": ("teacher2", "gate1", "generator1", "bottleneck"),
    "teacher2": ("teacher3", "gate2", "generator2", "bottleneck"),
    "teacher3": ("gate3", "generator3", "bottleneck"),
    "bottleneck": ("student3",),
    "student3": ("student2",),
    "student2": ("student1",),
}


@dataclass(frozen=True)
class Overflow:
    """A layer by its name in the trunk, its region, and the largest magnitude that it answered with."""

    layer: str
    region: str
    largest: float

    def __str__(self) -> str:
        return f"{self.layer} reaches {self.largest:.3g}, float16 ends at 65504: {self.region} stays in float32"


def find_overflows(fused: FusedAand, frames: Iterable[Tensor]) -> list[Overflow]:
    """The first layer of each region that comes near the limit, of a float32 trunk; frames uint8 (1, H, W, 3)."""
    largest: dict[str, float] = {}

    def watch(name: str, module: nn.Module, arguments: object, answer: object) -> None:
        if isinstance(answer, Tensor) and answer.is_floating_point():
            largest[name] = float(np.maximum(largest.get(name, 0.0), float(answer.abs().max())))  # keeps a NaN

    regions = fused.trunk.regions()
    places = {f"{name}.{part}".rstrip("."): each for name, top in regions.items() for part, each in top.named_modules()}
    handles = [module.register_forward_hook(partial(watch, name)) for name, module in places.items()]
    try:
        with torch.no_grad():
            for frame in frames:
                fused(frame)
    finally:
        for handle in handles:
            handle.remove()
    found: dict[str, Overflow] = {}
    for name, top in largest.items():  # in the order in which they first answered: a layer before what holds it
        region = name.split(".")[0]
        if not top <= LIMIT and region not in found:
            found[region] = Overflow(name, region, top)
    return list(found.values())


def regions_to_keep(fused: FusedAand, overflows: Iterable[Overflow]) -> tuple[str, ...]:
    """The regions that must stay in float32, in the order of the data; see READERS."""
    first = {each.region for each in overflows}
    # Direct readers alone: one that hands on what is too large has an overflow of its own.
    kept = first | {reader for region in first for reader in READERS.get(region, ())}
    return tuple(region for region in fused.trunk.regions() if region in kept)
