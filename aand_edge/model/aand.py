"""AAND, put together: Advancing Pre-trained Teacher, amplified, and the student that knows only normal parts.

picture → T → F ─ RAA → F_A ─ BN → S → F_S        map = Σ_k w_k · up(1 − cos(F_A,k, F_S,k)), blurred; w_k = 1
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aand_edge.model.amplification import Amplifier
from aand_edge.model.backbones import Features, build_teacher
from aand_edge.model.choices import check_size, find_backbone
from aand_edge.model.student import OneClassBottleneck, Student

BLUR_SIGMA = 4.0  # pixels of the map
BLUR_RADIUS = 16  # 33 taps: 4 σ, as scipy.ndimage.gaussian_filter

LevelWeights = tuple[float, float, float]
EQUAL: LevelWeights = (1.0, 1.0, 1.0)  # the paper's


class Aand(nn.Module):
    """Teacher, amplifiers, bottleneck and student for square pictures of `size` pixels.

    amplify=False leaves RAA out: the reverse-distillation baseline (RD4AD). level_weights: of the distances in the map.
    """

    def __init__(
        self,
        backbone: str = "wide_resnet50_2",
        size: int = 256,
        amplify: bool = True,
        level_weights: LevelWeights = EQUAL,
    ) -> None:
        super().__init__()
        check_size(size)
        self.backbone = find_backbone(backbone)
        self.size = size
        self.level_weights = level_weights
        self.teacher = build_teacher(self.backbone)
        sides = [size // stride for stride in self.backbone.strides]
        levels = zip(self.backbone.channels, sides, strict=True)
        self.amplifiers = nn.ModuleList(Amplifier(c, side, side) for c, side in levels) if amplify else None
        self.bottleneck = OneClassBottleneck(self.backbone)
        self.student = Student(self.backbone)

    def advanced(self, pictures: Tensor) -> Features:
        """F_A of (B, 3, S, S) RGB pictures in grey levels; the vanilla F without RAA."""
        return self.amplify(self.teacher(pictures))

    def amplify(self, features: Features) -> Features:
        """F → F_A with the predicted gate."""
        if self.amplifiers is None:
            return features
        return as_features(raa(f) for raa, f in zip(self.amplifiers, features, strict=True))

    def raas(self) -> list[Amplifier]:
        """The amplifiers of levels 1, 2, 3; none in the baseline."""
        return [part for part in self.amplifiers or () if isinstance(part, Amplifier)]

    def restore(self, advanced: Features) -> Features:
        """F_S: what the student makes of the embedding of F_A."""
        return cast(Features, self.student(self.bottleneck(advanced)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) RGB in grey levels → anomaly map (B, S, S) and score (B,)."""
        advanced = self.advanced(pictures)
        blurred = blur(anomaly_map(advanced, self.restore(advanced), self.size, self.level_weights))
        return blurred, blurred.flatten(1).amax(dim=1)


def as_features(levels: Iterable[Tensor]) -> Features:
    """Three tensors as the tuple that the rest of the model passes on."""
    return cast(Features, tuple(levels))


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 − cos over the channels of (B, C, H, W): (B, H, W), within [0, 2]; 1 where either vector is zero.

    Written as dot · rsqrt(|a|²|b|²), which engines compute in one pass without an overflowing square root.
    """
    dot = (a * b).sum(dim=1)
    squares = (a * a).sum(dim=1) * (b * b).sum(dim=1)
    return (1 - dot * squares.clamp_min(1e-12).rsqrt()).clamp_min(0)


def anomaly_map(advanced: Features, student: Features, size: int, weights: LevelWeights = EQUAL) -> Tensor:
    """Sum over levels of 1 − cos(advanced, student), each times its weight, up-sampled to `size`.

    advanced, student: three tensors (B, C_k, H_k, W_k). Returns (B, size, size), ≥ 0, unitless.
    AAND, inference; bilinear with align_corners=True as the authors do.
    """
    levels = [w * cosine_distance(a, s)[:, None] for w, a, s in zip(weights, advanced, student, strict=True)]
    upsampled = [F.interpolate(d, size=(size, size), mode="bilinear", align_corners=True) for d in levels]
    return torch.stack(upsampled).sum(dim=0)[:, 0]


def gaussian_taps(sigma: float = BLUR_SIGMA, radius: int = BLUR_RADIUS) -> Tensor:
    """(2·radius + 1,) taps of a Gaussian, summing to 1."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    taps = (-(offsets**2) / (2 * sigma**2)).exp()
    return (taps / taps.sum()).float()


def blur(maps: Tensor) -> Tensor:
    """Gaussian σ = 4 of (B, S, S), borders mirrored with the edge repeated, as scipy's `gaussian_filter`."""
    taps = gaussian_taps().to(maps)
    padded = mirror(mirror(maps[:, None], 2), 3)
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]


def mirror(x: Tensor, dim: int, radius: int = BLUR_RADIUS) -> Tensor:
    """Pad `radius` on both ends of `dim`, mirrored with the edge repeated (d c b a | a b c d | d c b a)."""
    length = x.shape[dim]
    before, after = x.narrow(dim, 0, radius).flip(dim), x.narrow(dim, length - radius, radius).flip(dim)
    return torch.cat((before, x, after), dim=dim)
