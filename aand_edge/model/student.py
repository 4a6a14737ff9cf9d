"""What stage two trains: the one-class bottleneck BN and the student S, a mirror of the teacher (RD4AD)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aand_edge.model.backbones import Features, InvertedResidual, conv_bn, resnet_stage
from aand_edge.model.choices import Backbone


class OneClassBottleneck(nn.Module):
    """BN: brings three levels to stride 16, concatenates them and embeds them at stride 32."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        c1, c2, c3 = backbone.channels
        self.reduce1 = nn.Sequential(
            conv_bn(c1, c2, 3, stride=2), nn.ReLU(inplace=True), conv_bn(c2, c3, 3, stride=2), nn.ReLU(inplace=True)
        )
        self.reduce2 = nn.Sequential(conv_bn(c2, c3, 3, stride=2), nn.ReLU(inplace=True))
        self.embed = _embedding(backbone, 3 * c3)
        initialise(self)

    def forward(self, features: Features) -> Tensor:
        """F₁ (B, C₁, H, W), F₂ at half and F₃ at a quarter of that → (B, D, H/8, W/8)."""
        f1, f2, f3 = features
        return cast(Tensor, self.embed(torch.cat((self.reduce1(f1), self.reduce2(f2), f3), dim=1)))


LITE_EMBEDDING = 192  # EfficientNet-Lite0's own width at stride 32


def _embedding(backbone: Backbone, inplanes: int) -> nn.Sequential:
    depth = backbone.depths[3]
    if backbone.block != "inverted":
        return resnet_stage(backbone, inplanes, planes=512, depth=depth, stride=2)
    first = InvertedResidual(inplanes, LITE_EMBEDDING, kernel=5, stride=2, expansion=2)
    rest = [InvertedResidual(LITE_EMBEDDING, LITE_EMBEDDING, kernel=5) for _ in range(1, depth)]
    return nn.Sequential(first, *rest)


class Student(nn.Module):
    """S: three up-sampling stages, untrained at the start; answers with a feature map for each level of T."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        d1, d2, d3, _ = backbone.depths
        c1, c2, c3 = backbone.channels
        if backbone.block == "inverted":
            self.up3 = _inverted_stage(LITE_EMBEDDING, c3, d3, kernel=5)
            self.up2 = _inverted_stage(c3, c2, d2, kernel=5)
            self.up1 = _inverted_stage(c2, c1, d1, kernel=3)
        else:
            embedding = 512 * backbone.expansion
            # The authors mirror the order of widths but not of depths: 3, 4, 6 blocks from deep to shallow.
            self.up3 = _residual_stage(backbone, embedding, 256, d1)
            self.up2 = _residual_stage(backbone, c3, 128, d2)
            self.up1 = _residual_stage(backbone, c2, 64, d3)
        initialise(self)

    def forward(self, embedding: Tensor) -> Features:
        """(B, D, H/8, W/8) → maps shaped as F₁, F₂, F₃."""
        s3 = self.up3(embedding)
        s2 = self.up2(s3)
        return self.up1(s2), s2, s3


class UpBasicBlock(nn.Module):
    """torchvision's BasicBlock with a 2×2 stride-2 transposed convolution in place of the first, when `up`."""

    def __init__(self, backbone: Backbone, inplanes: int, planes: int, up: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = _spatial(inplanes, planes, up), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = _spatial(planes, planes, up=False), nn.BatchNorm2d(planes)
        self.shortcut = _shortcut(inplanes, planes) if up else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class UpBottleneck(nn.Module):
    """torchvision's Bottleneck with a 2×2 stride-2 transposed convolution in place of its 3×3, when `up`."""

    def __init__(self, backbone: Backbone, inplanes: int, planes: int, up: bool) -> None:
        super().__init__()
        width = planes * backbone.width // 64
        self.conv1, self.bn1 = nn.Conv2d(inplanes, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _spatial(width, width, up), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, planes * 4, 1, bias=False), nn.BatchNorm2d(planes * 4)
        self.shortcut = _shortcut(inplanes, planes * 4) if up else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def _spatial(inplanes: int, planes: int, up: bool) -> nn.Module:
    if up:
        return nn.ConvTranspose2d(inplanes, planes, 2, stride=2, bias=False)
    return nn.Conv2d(inplanes, planes, 3, padding=1, bias=False)


def _shortcut(inplanes: int, outplanes: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inplanes, outplanes, 2, stride=2, bias=False), nn.BatchNorm2d(outplanes))


def _residual_stage(backbone: Backbone, inplanes: int, planes: int, depth: int) -> nn.Sequential:
    kind: type[UpBottleneck | UpBasicBlock] = UpBottleneck if backbone.block == "bottleneck" else UpBasicBlock
    blocks = [kind(backbone, inplanes, planes, up=True)]
    blocks += [kind(backbone, planes * backbone.expansion, planes, up=False) for _ in range(1, depth)]
    return nn.Sequential(*blocks)


def _inverted_stage(inplanes: int, planes: int, depth: int, kernel: int) -> nn.Sequential:
    first = InvertedResidual(inplanes, planes, expansion=3, up=True)
    return nn.Sequential(first, *(InvertedResidual(planes, planes, kernel=kernel) for _ in range(1, depth)))


def initialise(module: nn.Module) -> None:
    """Kaiming-normal (fan out, ReLU) for convolutions; BatchNorm keeps 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
