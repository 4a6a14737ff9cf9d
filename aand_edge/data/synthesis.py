"""Synthetic anomalies, batched in torch: a texture blended into the object under a Perlin mask (DRAEM's recipe).

Everything random comes from one `torch.Generator` on the CPU, so that a seed gives the same pictures on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from aand_edge.errors import UsageError

CLEAN_SHARE = 0.2  # pictures left as they are
MAX_OPACITY_LOSS = 0.8  # β = 0.8 · U(0, 1): how much of the picture may shine through
MAX_GRID_POWER = 5  # Perlin cells per axis: 2^0 … 2^5
MASK_LEVEL = 0.5  # of the noise
MIN_PIXELS, MAX_TRIES = 4, 11  # a mask of no more than 4 pixels is drawn again, 11 times at most
AUGMENTATIONS = 3  # of the ten below, for each texture


@dataclass(frozen=True)
class Synthetic:
    """A batch with anomalies.

    pictures   float32 (B, 3, S, S), RGB in grey levels
    mask       float32 (B, 1, S, S), 0 or 1: where texture was blended in
    """

    pictures: Tensor
    mask: Tensor


class Synthesiser:
    """Blends textures into pictures.

    textures   uint8 (T, 3, S, S), RGB: what anomalies are made of
    """

    def __init__(self, textures: Tensor) -> None:
        if textures.ndim != 4 or len(textures) == 0:
            raise UsageError("There is no texture to make synthetic anomalies from", "Check --textures.")
        self.textures = textures

    def __call__(self, pictures: Tensor, foreground: Tensor, generator: torch.Generator) -> Synthetic:
        """pictures: uint8 (B, 3, S, S). foreground: bool (B, 1, S, S), where an anomaly may lie."""
        count, device = len(pictures), pictures.device
        mask = anomaly_masks(foreground, generator)
        clean = torch.rand(count, generator=generator) < CLEAN_SHARE
        mask[clean.to(device)] = 0
        chosen = torch.randint(len(self.textures), (count,), generator=generator)
        texture = augment(self.textures[chosen.to(self.textures.device)].to(device), generator).float()
        opacity_loss = MAX_OPACITY_LOSS * torch.rand(count, 1, 1, 1, generator=generator).to(device)
        picture = pictures.float()
        blended = (1 - opacity_loss) * texture + opacity_loss * picture
        return Synthetic(torch.where(mask > 0, blended, picture), mask)


def anomaly_masks(foreground: Tensor, generator: torch.Generator) -> Tensor:
    """float32 (B, 1, S, S): thresholded Perlin noise within the foreground, redrawn while next to nothing is left."""
    mask = torch.zeros(foreground.shape, device=foreground.device)
    missing = torch.arange(len(foreground))
    for _ in range(MAX_TRIES):
        rows = missing.to(foreground.device)
        noise = perlin(len(missing), foreground.shape[-1], generator).to(foreground.device)
        mask[rows] = ((noise > MASK_LEVEL) & foreground[rows]).float()
        small = mask[rows].flatten(1).sum(dim=1).cpu() <= MIN_PIXELS
        mask[rows[small.to(foreground.device)]] = 0
        missing = missing[small]
        if len(missing) == 0:
            break
    return mask


def perlin(count: int, size: int, generator: torch.Generator) -> Tensor:
    """float32 (count, 1, size, size): Perlin noise within about [−1, 1], a grid and an angle of its own each.

    The lattice is rotated rather than the finished picture, so that no corner is left without noise.
    """
    cells = 2 ** torch.randint(MAX_GRID_POWER + 1, (count, 2, 1, 1), generator=generator)
    angle = (torch.rand(count, 1, 1, generator=generator) - 0.5) * math.pi
    axis = (torch.arange(size) + 0.5) / size - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    u = (x * angle.cos() - y * angle.sin() + 0.5) * cells[:, 0]
    v = (x * angle.sin() + y * angle.cos() + 0.5) * cells[:, 1]
    table = 2 ** (MAX_GRID_POWER + 1)  # rotated coordinates leave the unit square: gradients repeat beyond
    directions = 2 * math.pi * torch.rand(count, table, table, generator=generator)
    return (math.sqrt(2) * _lattice_noise(u, v, directions))[:, None]


def _lattice_noise(u: Tensor, v: Tensor, directions: Tensor) -> Tensor:
    """Gradient noise at (u, v), each (B, H, W), over a periodic lattice of gradient angles (B, T, T)."""
    count, table = directions.shape[0], directions.shape[1]
    flat = directions.reshape(count, -1)
    u0, v0 = u.floor(), v.floor()
    du, dv = u - u0, v - v0

    def corner(i: int, j: int) -> Tensor:
        row, column = (v0.long() + j) % table, (u0.long() + i) % table
        direction = flat.gather(1, (row * table + column).flatten(1)).view_as(u)
        return direction.cos() * (du - i) + direction.sin() * (dv - j)

    su, sv = _fade(du), _fade(dv)
    upper = torch.lerp(corner(0, 0), corner(1, 0), su)
    lower = torch.lerp(corner(0, 1), corner(1, 1), su)
    return torch.lerp(upper, lower, sv)


def _fade(t: Tensor) -> Tensor:
    """Perlin's quintic: its first and second derivatives vanish at cell borders."""
    faded: Tensor = t * t * t * (t * (6 * t - 15) + 10)
    return faded


def augment(textures: Tensor, generator: torch.Generator) -> Tensor:
    """Three of ten colour and geometry changes for each texture: uint8 (B, 3, S, S), in and out.

    A change is drawn once a batch and applied to the textures that drew it, so that it runs as one batched call.
    """
    order = torch.rand(len(textures), len(CHANGES), generator=generator).argsort(dim=1)
    drawn = order < AUGMENTATIONS  # each row has exactly three
    for column, change in enumerate(CHANGES):
        rows = drawn[:, column].nonzero()[:, 0].to(textures.device)
        amount = float(torch.rand((), generator=generator))
        if len(rows):
            textures = textures.index_copy(0, rows, change(textures[rows], amount))
    return textures


Change = Callable[[Tensor, float], Tensor]  # uint8 (B, 3, S, S) and a number in [0, 1) → uint8, same shape

CHANGES: Sequence[Change] = (
    lambda t, a: V.adjust_gamma(t, 0.5 + 1.5 * a),
    lambda t, a: V.adjust_brightness(t, 0.8 + 0.4 * a),
    lambda t, a: V.adjust_sharpness(t, 1 + 4 * a),
    lambda t, a: V.adjust_saturation(V.adjust_hue(t, 0.3 * (a - 0.5)), 0.5 + a),
    lambda t, a: V.solarize(t, 32 + 96 * a),
    lambda t, a: V.posterize(t, 2 + int(3 * a)),
    lambda t, _: V.invert(t),
    lambda t, _: V.autocontrast(t),
    lambda t, _: V.equalize(t),
    lambda t, a: V.rotate(t, 90 * (a - 0.5)),
)


def patch_mask(mask: Tensor, side: int) -> Tensor:
    """The mask at a level: average-pooled to (B, 1, side, side), 1 where more than 0.3 is covered."""
    return (torch.nn.functional.adaptive_avg_pool2d(mask.float(), side) > 0.3).float()


def procedural_textures(count: int, size: int, generator: torch.Generator) -> Tensor:
    """uint8 (count, 3, size, size): two random colours mixed by noise of several octaves, or by stripes of it."""
    noise = torch.zeros(count, 1, size, size)
    for octave in range(4):
        noise += perlin(count, size, generator) * 0.6**octave
    frequency = 1 + 15 * torch.rand(count, 1, 1, 1, generator=generator)
    striped = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    mixing = torch.where(striped, (noise * frequency).sin() * 0.5 + 0.5, (noise + 1) / 2).clamp(0, 1)
    dark, bright = 255 * torch.rand(2, count, 3, 1, 1, generator=generator)
    grain = torch.randn(count, 3, size, size, generator=generator)
    strength = 12 * torch.rand(count, 1, 1, 1, generator=generator)  # grey levels
    textures: Tensor = dark + (bright - dark) * mixing + strength * grain
    return textures.clamp(0, 255).byte()
