"""The deployment graph: one module from a camera's uint8 frame to the anomaly map and the score.

    frame ─ crop, resize ─ normalise ─┤ trunk: T ─ RAA ─ BN ─ S ├─ cosine map ─ up-sample and blur ─ max
              float32                 │  float32 or float16     │             float32

The constructor takes a trained `Aand` and does once what training does at every step; `forward` holds only what
must be in the graph. Nothing here changes the answer beyond rounding:

- BatchNorm is folded into the convolution before it; the frame's channel order and the division by its standard
  deviation into the first one;
- the positional encoding is a constant after the gate's first convolution, which is linear;
- the student's transposed convolutions are sub-pixel ones: 1×1 convolutions, whose answers are laid side by side;
- the prototypes are normalised and divided by the temperature; a cosine over 0.2 lies within ±5, so the softmax
  needs no maximum and the gate is a ratio of two sums;
- up-sampling and Gaussian blur are linear and separable: one constant matrix a level and an axis; a level's weight
  is in the second.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aand_edge.model.aand import Aand, as_features, blur, cosine_distance
from aand_edge.model.amplification import EPS, PROTOTYPES, TEMPERATURE, Amplifier
from aand_edge.model.backbones import Features
from aand_edge.model.subpixel import replace_transposed

Colour = Literal["BGR", "RGB"]


@dataclass(frozen=True)
class FrameGeometry:
    """How a camera's frame becomes the network's picture, in the graph.

    rows     float32 (S, roi height): the antialiased bicubic matrix R_h
    columns  float32 (S, roi width): R_w
    roi      x, y, width, height of the part that is looked at, in frame pixels
    """

    rows: Tensor
    columns: Tensor
    roi: tuple[int, int, int, int]


class FusedAand(nn.Module):
    """uint8 (N, H, W, 3) → anomaly map float32 (N, S, S) and score float32 (N,).

    half      runs the trunk in float16; frame and map stay in float32
    float32   regions of a half trunk that stay in float32, since they would overflow; see `Trunk.regions`
    colour    the order of the frame's channels
    geometry  crops and resizes larger frames; without it the frame must be S × S
    """

    mean: Tensor

    def __init__(
        self,
        model: Aand,
        *,
        half: bool = False,
        float32: tuple[str, ...] = (),
        colour: Colour = "BGR",
        geometry: FrameGeometry | None = None,
    ) -> None:
        super().__init__()
        model = copy.deepcopy(model).cpu().float().eval()
        order = [2, 1, 0] if colour == "BGR" else [0, 1, 2]
        self.register_buffer("mean", model.teacher.mean[:, order])
        self.resize = FrameResize(geometry) if geometry else None
        self.trunk = Trunk(fold_batch_norms(model), order)
        self.head = MapHead(model)
        self.half_trunk = half
        if half:
            self.trunk.halve(float32)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        picture = image.float().permute(0, 3, 1, 2)  # cast first: TensorRT does not transpose uint8
        if self.resize is not None:
            picture = self.resize(picture)
        centred = picture - self.mean
        advanced, student = self.trunk(centred.half() if self.half_trunk else centred)
        anomaly_map = self.head(as_features(f.float() for f in advanced), as_features(f.float() for f in student))
        return anomaly_map, anomaly_map.amax(dim=(1, 2))


class FrameResize(nn.Module):
    """Crop, then y = clip(R_h · clip(x · R_wᵀ)): the resize of training, but for its last rounding.

    A value halfway between two grey levels would round up in one engine and down in another; unrounded, all agree.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, geometry: FrameGeometry) -> None:
        super().__init__()
        self.register_buffer("rows", geometry.rows)
        self.register_buffer("columns", geometry.columns.T.contiguous())
        self.roi = geometry.roi

    def forward(self, frame: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, 3, S, S), grey levels."""
        x, y, width, height = self.roi
        frame = frame[:, :, y : y + height, x : x + width]
        return (self.rows @ (frame @ self.columns).clamp(0, 255)).clamp(0, 255)


class Trunk(nn.Module):
    """T, RAA, BN and S, for inference: (N, 3, S, S) grey levels less their mean → F_A and F_S."""

    def __init__(self, model: Aand, order: list[int]) -> None:
        super().__init__()
        self.teacher, self.bottleneck, self.student = model.teacher, model.bottleneck, model.student
        first = next(part for part in self.teacher.modules() if isinstance(part, nn.Conv2d))
        first.weight = nn.Parameter((first.weight / model.teacher.std)[:, order].contiguous())
        self.amplifiers = nn.ModuleList(FusedAmplifier(raa) for raa in model.raas())
        replace_transposed(self.student)

    def forward(self, picture: Tensor) -> tuple[Features, Features]:
        advanced = self.teacher.features(picture)
        if len(self.amplifiers):
            advanced = as_features(raa(f) for raa, f in zip(self.amplifiers, advanced, strict=True))
        return advanced, self.student(self.bottleneck(advanced))

    def regions(self) -> dict[str, nn.Module]:
        """The modules that may differ in precision, by name, in the order of the data."""
        first = "conv_stem" if hasattr(self.teacher, "conv_stem") else "conv1"
        parts: dict[str, nn.Module] = {"stem": self.teacher.get_submodule(first)}
        parts |= {f"teacher{level}": self.teacher.get_submodule(f"layer{level}") for level in (1, 2, 3)}
        for level, raa in enumerate(self.amplifiers, start=1):
            parts |= {f"gate{level}": raa.get_submodule("gate"), f"generator{level}": raa.get_submodule("generator")}
        parts["bottleneck"] = self.bottleneck
        return parts | {f"student{level}": self.student.get_submodule(f"up{level}") for level in (3, 2, 1)}

    def halve(self, float32: tuple[str, ...] = ()) -> None:
        """Turn to float16, but for the regions in `float32`; each region casts what it reads to its own type."""
        regions = self.regions()
        whole = [regions[name] for name in float32]
        whole += [part.match for part in self.modules() if isinstance(part, FusedGate)]  # squares would overflow
        values = [copy.deepcopy(part.state_dict()) for part in whole]
        self.half()
        for part, exact in zip(whole, values, strict=True):
            part.float().load_state_dict(exact)
        if float32:
            for part in regions.values():
                part.register_forward_pre_hook(_cast_to_own_type)


def _cast_to_own_type(module: nn.Module, arguments: tuple[Tensor | Features, ...]) -> tuple[Tensor | Features, ...]:
    own = next(module.parameters()).dtype
    return tuple(
        each.to(own) if isinstance(each, Tensor) else as_features(level.to(own) for level in each) for each in arguments
    )


class FusedAmplifier(nn.Module):
    """RAA at one level, for inference: F_A = F · (1 + w · tanh φ₂(F))."""

    def __init__(self, raa: Amplifier) -> None:
        super().__init__()
        self.gate = FusedGate(raa)
        self.generator = raa.generator

    def forward(self, features: Tensor) -> Tensor:
        weight, scale = self.gate(features), self.generator(features).tanh()
        scaled: Tensor = features * (1 + weight.to(features.dtype) * scale.to(features.dtype))
        return scaled


class FusedGate(nn.Module):
    """w (N, 1, H, W) of features (N, C, H, W)."""

    position: Tensor

    def __init__(self, raa: Amplifier) -> None:
        super().__init__()
        first, *rest = raa.query
        assert isinstance(first, nn.Conv2d)
        self.register_buffer("position", first(raa.position).detach())  # W·(F + PE) + b = W·F + (W·PE + b)
        self.first = nn.Conv2d(first.in_channels, first.out_channels, 1, bias=False)
        self.first.weight = first.weight
        self.rest = nn.Sequential(*rest)
        self.match = Match(raa.memory)

    def forward(self, features: Tensor) -> Tensor:
        query = self.rest(self.first(features) + self.position)
        return self.match(query.float()).to(features.dtype)  # type: ignore[no-any-return]


class Match(nn.Module):
    """Share of the softmax over cosine / 0.2 that falls on the abnormal prototypes, in float32."""

    prototypes: Tensor

    def __init__(self, memory: Tensor) -> None:
        super().__init__()
        prototypes = F.normalize(memory.detach(), dim=1, eps=EPS) / TEMPERATURE
        self.register_buffer("prototypes", prototypes[:, :, None, None].clone())

    def forward(self, query: Tensor) -> Tensor:
        inverse_norm = (query * query).sum(dim=1, keepdim=True).clamp_min(EPS**2).rsqrt()
        likeness = (F.conv2d(query, self.prototypes) * inverse_norm).exp()  # e^−5 … e^5
        normal = likeness[:, :PROTOTYPES].sum(dim=1, keepdim=True)
        abnormal = likeness[:, PROTOTYPES:].sum(dim=1, keepdim=True)
        return abnormal / (abnormal + normal)


class MapHead(nn.Module):
    """Σ_k w_k · B · U_k · (1 − cos) · U_kᵀ · Bᵀ: U_k up-samples bilinearly (align_corners), B blurs with σ = 4."""

    def __init__(self, model: Aand) -> None:
        super().__init__()
        for level, (stride, weight) in enumerate(zip(model.backbone.strides, model.level_weights, strict=True)):
            matrix = upsample_and_blur(model.size // stride, model.size)
            self.register_buffer(f"down{level}", matrix)
            self.register_buffer(f"across{level}", weight * matrix.T.contiguous())

    def forward(self, advanced: Features, student: Features) -> Tensor:
        """F_A and F_S, float32 → (N, S, S)."""
        maps = [
            self.get_buffer(f"down{level}") @ (cosine_distance(a, s) @ self.get_buffer(f"across{level}"))
            for level, (a, s) in enumerate(zip(advanced, student, strict=True))
        ]
        return maps[0] + maps[1] + maps[2]


def upsample_and_blur(side: int, size: int) -> Tensor:
    """(size, side): bilinear up-sampling (align_corners) and Gaussian blur of one axis, as one matrix."""
    unit = torch.eye(side, dtype=torch.float64)
    upsampled = F.interpolate(unit[None], size=size, mode="linear", align_corners=True)[0].T  # (size, side)
    # A map that is constant across is only blurred down, so the two-dimensional blur shows its one-dimensional matrix.
    columns = upsampled.T[:, :, None].expand(-1, -1, size)
    return blur(columns)[:, :, 0].T.float().contiguous()


def fold_batch_norms(module: nn.Module) -> Aand:
    """Fold each BatchNorm into the convolution it follows, in place; what is left of it is an identity."""
    for part in list(module.modules()):
        previous: nn.Module | None = None
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d | nn.ConvTranspose2d):
                _fold(previous, child)
                setattr(part, name, nn.Identity())
            previous = child
    remaining = [name for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert not remaining, f"BatchNorm without a convolution before it: {remaining}"
    return module  # type: ignore[return-value]


def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
    # Output channels lie on axis 0, but on axis 1 of a transposed convolution that is not depthwise.
    crosswise = isinstance(convolution, nn.ConvTranspose2d) and convolution.groups == 1
    shape = (1, -1, 1, 1) if crosswise else (-1, 1, 1, 1)
    bias = convolution.bias if convolution.bias is not None else torch.zeros_like(norm.running_mean)
    convolution.weight = nn.Parameter(convolution.weight * factor.view(shape))
    convolution.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * factor)
