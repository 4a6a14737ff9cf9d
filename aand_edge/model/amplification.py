"""Residual Anomaly Amplification (RAA): what makes the teacher T an advanced teacher A.

Three modules, one a level, on side branches: the next stage of T always reads the vanilla features. A gate w
(matching against a memory of normal and abnormal prototypes) says where, a residual Δ says how:

    F_A = F + w · Δ,   Δ = tanh(φ₂(F)) ⊙ F,   so that every channel is scaled by a factor within (0, 2).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PROTOTYPES = 50  # L: rows of memory, normal and abnormal each
TEMPERATURE = 0.2
EPS = 1e-6  # a zero vector has cosine 0 with everything, not NaN


class Amplifier(nn.Module):
    """RAA at one level of C channels.

    memory     (2L, C): L normal prototypes, then L abnormal ones, learned by gradient alone
    position   (1, C, H, W): fixed encoding, for a picture of one size
    """

    position: Tensor

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.query = pointwise_mlp(channels)  # φ₁
        self.generator = pointwise_mlp(channels)  # φ₂
        self.memory = nn.Parameter(torch.randn(2 * PROTOTYPES, channels))
        self.register_buffer("position", positional_encoding(channels, height, width), persistent=False)

    def gate(self, features: Tensor) -> Tensor:
        """w (B, 1, H, W) ∈ (0, 1): the probability that a patch matches an abnormal prototype."""
        query = F.normalize(self.query(features + self.position), dim=1, eps=EPS)
        similarity = F.conv2d(query, F.normalize(self.memory, dim=1, eps=EPS)[:, :, None, None])  # (B, 2L, H, W)
        return (similarity / TEMPERATURE).softmax(dim=1)[:, PROTOTYPES:].sum(dim=1, keepdim=True)

    def residual(self, features: Tensor) -> Tensor:
        """Δ = tanh(φ₂(F)) ⊙ F, shaped as F; |Δ| < |F|."""
        return cast(Tensor, self.generator(features).tanh() * features)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """F_A, shaped as F (B, C, H, W). `mask` (B, 1, H, W) takes the gate's place (teacher forcing)."""
        gate = self.gate(features) if mask is None else mask
        return features + gate * self.residual(features)


def pointwise_mlp(channels: int) -> nn.Sequential:
    """φ: three 1×1 convolutions with bias, C → h → h → C with h = min(2C, 1024), ReLU between."""
    hidden = min(2 * channels, 1024)
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, channels, 1),
    )


def positional_encoding(channels: int, height: int, width: int) -> Tensor:
    """(1, C, H, W): sine and cosine of x in the first C/2 channels, of y in the rest (Vaswani et al., in 2-D)."""
    half = channels // 2
    frequency = 10_000.0 ** (-torch.arange(0, half, 2, dtype=torch.float32) / half)  # (C/4,)

    def encode(length: int) -> Tensor:  # (C/2, length)
        angle = frequency[:, None] * torch.arange(length, dtype=torch.float32)
        return torch.stack((angle.sin(), angle.cos()), dim=1).flatten(0, 1)[:half]

    across = encode(width)[:, None, :].expand(-1, height, -1)
    down = encode(height)[:, :, None].expand(-1, -1, width)
    return torch.cat((across, down))[None].contiguous()
