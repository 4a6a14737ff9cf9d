"""A 2×2 transposed convolution of stride 2, as the sub-pixel convolution that it is (Shi et al., CVPR 2016).

Its windows do not overlap: every input pixel becomes a square of 2 × 2 output pixels, each of them a matrix product
with its channels. That is a 1×1 convolution to four times the channels, whose answers are then laid side by side. The
sums are the same, and 1×1 convolutions are what every engine runs best, in int8 too.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 2


class SubpixelConv2d(nn.Module):
    """(N, C, H, W) → (N, D, 2·H, 2·W), from a transposed convolution of C to D channels in one group, with a bias."""

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        assert transposed.bias is not None
        square = SIDE * SIDE
        self.subpixels = nn.Conv2d(transposed.in_channels, square * transposed.out_channels, 1)
        weight = transposed.weight.permute(1, 2, 3, 0).flatten(0, 2)  # (C, D, 2, 2) → (4·D, C)
        self.subpixels.weight = nn.Parameter(weight[:, :, None, None].contiguous())
        self.subpixels.bias = nn.Parameter(transposed.bias.repeat_interleave(square))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(cast(Tensor, self.subpixels(x)), SIDE)


def replace_transposed(module: nn.Module) -> None:
    """Put sub-pixel convolutions in the place of all transposed ones in `module`, except depthwise ones.

    A depthwise one is no matrix product: each channel's four pixels are its own values, scaled.
    """
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.ConvTranspose2d) and child.groups == 1:
                assert child.kernel_size == child.stride == (SIDE, SIDE)
                setattr(part, name, SubpixelConv2d(child))
