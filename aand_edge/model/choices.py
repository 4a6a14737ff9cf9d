"""What of the network can be chosen: kept apart, so that a wrong choice is told before PyTorch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aand_edge.errors import UsageError

HARD_PATCHES = 10  # K_h
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Backbone:
    """What the rest of the network must know of a teacher.

    channels   of F₁, F₂, F₃
    depths     residual blocks in stages 1, 2, 3 and, for the bottleneck, 4
    width      of a Bottleneck's inner convolution, per 64 planes
    """

    name: str
    block: Literal["basic", "bottleneck", "inverted"]
    channels: tuple[int, int, int]
    depths: tuple[int, int, int, int]
    width: int = 64
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    strides: tuple[int, int, int] = (4, 8, 16)

    @property
    def expansion(self) -> int:
        return 4 if self.block == "bottleneck" else 1


BACKBONES = {
    each.name: each
    for each in (
        Backbone("wide_resnet50_2", "bottleneck", (256, 512, 1024), (3, 4, 6, 3), width=128),
        Backbone("resnet50", "bottleneck", (256, 512, 1024), (3, 4, 6, 3)),
        Backbone("resnet34", "basic", (64, 128, 256), (3, 4, 6, 3)),
        Backbone("resnet18", "basic", (64, 128, 256), (2, 2, 2, 2)),
        Backbone(
            "efficientnet_lite0",
            "inverted",
            (24, 40, 112),
            (2, 2, 3, 2),
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """The backbone of that name. Raises UsageError, naming those there are."""
    if name not in BACKBONES:
        raise UsageError(f"There is no backbone '{name}'", f"Choose one of: {', '.join(BACKBONES)}.")
    return BACKBONES[name]


# What training holds of a picture grows with the square: about 0.25 GB at 224² with the largest backbone, so that at
# this side the two pictures which BatchNorm needs at least fill a GPU of 40 GB.
LARGEST = 2048


def check_size(size: int) -> None:
    """Raises UsageError where a picture of `size` pixels a side fits neither strides of 4 to 32 nor any memory."""
    if not 64 <= size <= LARGEST or size % 32:
        raise UsageError(f"A picture size of {size} does not fit", f"Take a multiple of 32, from 64 to {LARGEST}.")
