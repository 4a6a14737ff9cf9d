"""The training recipe of the authors' research code, as a yardstick for speed: written from what it does.

Each picture is decoded, resized and given its anomaly in NumPy and OpenCV, one at a time, in worker processes, every
epoch; stage one runs two full encoders, fourth stage included; stage two computes the advanced features of every
picture in every epoch; all of it in float32. Network, losses, batch and optimiser are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.models import get_model

from aand_edge.data.foreground import foreground
from aand_edge.data.layouts import Sample
from aand_edge.data.pictures import read_picture
from aand_edge.data.synthesis import patch_mask
from aand_edge.model.aand import Aand
from aand_edge.model.backbones import Teacher
from aand_edge.model.choices import HARD_PATCHES
from aand_edge.model.losses import AMPLIFY_WEIGHT, distillation, focal
from aand_edge.training.loop import Losses, make_optimiser
from aand_edge.training.recipe import Recipe

Step = Callable[[], None]
Picture = NDArray[np.uint8]


class OneAtATime(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Decodes, resizes and spoils a picture in NumPy and OpenCV whenever it is asked for."""

    def __init__(self, samples: list[Sample], size: int, spoil: bool, rng: np.random.Generator | None = None) -> None:
        """rng: what is random comes of it, in one process; None: of a new one each time, as their workers have it"""
        self.samples, self.size, self.spoil, self.rng = samples, size, spoil, rng

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        """(3, S, S) grey levels, the anomaly's mask (1, S, S), the foreground (1, S, S)."""
        rng = self.rng or np.random.default_rng()
        picture = self._picture(row)
        inside = foreground(picture) if self.spoil else np.ones(picture.shape[:2], bool)
        mask = np.zeros(picture.shape[:2], np.float32)
        if self.spoil and rng.random() > 0.2:
            for _ in range(11):
                mask = ((perlin(self.size, rng) > 0.5) & inside).astype(np.float32)
                if mask.sum() > 4:
                    break
            texture = augment(self._picture(int(rng.integers(len(self.samples)))), rng)
            opacity_loss = 0.8 * rng.random()
            blend = (1 - opacity_loss) * texture + opacity_loss * picture
            picture = np.where(mask[:, :, None] > 0, blend, picture)
        tensor = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)
        return tensor, torch.from_numpy(mask)[None], torch.from_numpy(inside)[None].float()

    def _picture(self, row: int) -> Picture:
        picture = cv2.resize(
            read_picture(self.samples[row].path), (self.size, self.size), interpolation=cv2.INTER_CUBIC
        )
        return picture.astype(np.uint8, copy=False)


def perlin(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gradient noise (size, size) on a grid of 2^0 … 2^5 cells an axis, rotated as a finished picture."""
    rows, columns = 2 ** rng.integers(0, 6, 2)
    angles = 2 * np.pi * rng.random((rows + 1, columns + 1))
    y, x = np.meshgrid(np.linspace(0, rows, size, False), np.linspace(0, columns, size, False), indexing="ij")
    y0, x0 = y.astype(int), x.astype(int)
    dy, dx = y - y0, x - x0

    def corner(down: int, right: int) -> NDArray[np.float64]:
        angle = angles[y0 + down, x0 + right]
        slope: NDArray[np.float64] = np.cos(angle) * (dx - right) + np.sin(angle) * (dy - down)
        return slope

    def fade(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    upper = corner(0, 0) + fade(dx) * (corner(0, 1) - corner(0, 0))
    lower = corner(1, 0) + fade(dx) * (corner(1, 1) - corner(1, 0))
    noise = np.sqrt(2) * (upper + fade(dy) * (lower - upper))
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.uniform(-90, 90)), 1)
    return np.asarray(cv2.warpAffine(noise, turn, (size, size)))


def augment(texture: Picture, rng: np.random.Generator) -> Picture:
    """Three of ten colour and geometry changes."""
    for number in rng.choice(len(CHANGES), 3, replace=False):
        texture = np.clip(CHANGES[number](texture, rng.random()), 0, 255).astype(np.uint8)
    return texture


def _hue(t: Picture, a: float) -> Picture:
    hsv = cv2.cvtColor(t, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv += np.array([int(50 * (a - 0.5)), int(100 * (a - 0.5)), 0], np.int16)
    return cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.uint8)


def _rotated(t: Picture, a: float) -> Picture:
    turn = cv2.getRotationMatrix2D((t.shape[1] / 2, t.shape[0] / 2), 90 * (a - 0.5), 1)
    return cv2.warpAffine(t, turn, t.shape[1::-1]).astype(np.uint8)


CHANGES: tuple[Callable[[Picture, float], NDArray[Any]], ...] = (
    lambda t, a: 255 * (t / 255.0) ** (0.5 + 1.5 * a),
    lambda t, a: t * (0.8 + 0.4 * a) + 60 * (a - 0.5),
    lambda t, a: t + (1 + 4 * a) * (t.astype(float) - cv2.GaussianBlur(t, (3, 3), 0)),
    _hue,
    lambda t, a: np.where(t < 32 + 96 * a, t, 255 - t),
    lambda t, a: (t // 32) * 32,
    lambda t, a: 255 - t,
    lambda t, a: (t - t.min((0, 1))) * (255.0 / np.maximum(1, np.ptp(t, (0, 1)))),
    lambda t, a: np.stack([cv2.equalizeHist(np.ascontiguousarray(t[:, :, c])) for c in range(3)], 2),
    _rotated,
)


class TheirEncoder(nn.Module):
    """The whole classifier but its head: four stages, of which three are used."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, teacher: Teacher) -> None:
        super().__init__()
        self.net = get_model(backbone, weights=None)
        self.net.load_state_dict(teacher.state_dict(), strict=False)
        self.net.eval().requires_grad_(False)
        self.register_buffer("mean", teacher.mean)
        self.register_buffer("std", teacher.std)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Grey levels (B, 3, S, S) → features of the first three stages."""
        net = self.net
        x = net.maxpool(net.relu(net.bn1(net.conv1((pictures - self.mean) / self.std))))
        f1 = net.layer1(x)
        f2 = net.layer2(f1)
        f3 = net.layer3(f2)
        net.layer4(f3)
        return f1, f2, f3


def their_amplification(vanilla: Tensor, advanced: Tensor, mask: Tensor, inside: Tensor) -> Tensor:
    """The loss over sampled pairs, of residuals that were computed for every patch."""
    rows = [t.permute(0, 2, 3, 1).flatten(0, 2) for t in (vanilla, advanced)]
    anomalous = mask.flatten() > 0.5
    normal = (inside.flatten() > 0.5) & ~anomalous
    n = normal.nonzero()[:, 0][torch.randperm(int(normal.sum()))[:5000]]
    a = anomalous.nonzero()[:, 0][torch.randperm(int(anomalous.sum()))[:1000]]
    if not len(n) or not len(a):
        return vanilla.new_zeros(())
    reference = F.normalize(rows[0][n], dim=1)
    before = reference @ F.normalize(rows[0][a], dim=1).T
    after = reference @ F.normalize(rows[1][a], dim=1).T
    return (after - before + 0.3).relu().mean()


@dataclass(frozen=True)
class TheirAmplify:
    """Stage one: the losses of a batch, on the model's device."""

    model: Aand
    first: TheirEncoder
    second: TheirEncoder

    def __call__(self, pictures: Tensor, mask: Tensor, inside: Tensor) -> Losses:
        """As `OneAtATime` gives them, stacked."""
        pictures, mask, inside = (each.to(self.first.mean.device) for each in (pictures, mask, inside))
        with torch.no_grad():
            vanilla, again = self.first(pictures), self.second(pictures)
        focal_loss = amplify_loss = pictures.new_zeros(())
        for raa, f, g in zip(self.model.raas(), vanilla, again, strict=True):
            level, object_ = patch_mask(mask, f.shape[-1]), patch_mask(inside, f.shape[-1])
            focal_loss = focal_loss + focal(raa.gate(g), level)
            amplify_loss = amplify_loss + their_amplification(f, raa(g, level), level, object_)
        return {"focal": focal_loss, "amplify": AMPLIFY_WEIGHT * amplify_loss}


@dataclass(frozen=True)
class TheirDistil:
    """Stage two: the loss of a batch, on the model's device."""

    model: Aand
    encoder: TheirEncoder

    def __call__(self, pictures: Tensor) -> Losses:
        """(B, 3, S, S) grey levels of good parts."""
        with torch.no_grad():
            advanced = self.model.amplify(self.encoder(pictures.to(self.encoder.mean.device)))
        return {"distill": distillation(advanced, self.model.restore(advanced), HARD_PATCHES)}


def their_losses(model: Aand, device: torch.device) -> tuple[TheirAmplify, TheirDistil]:
    """Of stage one and stage two, for a model that lies on `device`."""
    first, second = (TheirEncoder(model.backbone.name, model.teacher).to(device) for _ in range(2))
    return TheirAmplify(model, first, second), TheirDistil(model, first)


def forever(samples: list[Sample], size: int, spoil: bool, batch: int, workers: int) -> Iterator[Any]:
    """Batches of the loader, epoch after epoch."""
    loader = DataLoader(
        OneAtATime(samples, size, spoil),
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        yield from loader


def their_steps(
    model: Aand, samples: list[Sample], recipe: Recipe, workers: int, device: torch.device
) -> tuple[Step, Step]:
    """A step of each stage."""
    amplifying, distilling = their_losses(model.to(device), device)
    amplify, distil = optimisers(model, recipe)
    spoilt = forever(samples, model.size, True, recipe.batch, workers)
    good = forever(samples, model.size, False, recipe.batch, workers)
    return (
        lambda: descend(amplify, amplifying(*next(spoilt))),
        lambda: descend(distil, distilling(next(good)[0])),
    )


def optimisers(model: Aand, recipe: Recipe) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Of stage one and stage two."""
    assert model.amplifiers is not None
    learned = [*model.bottleneck.parameters(), *model.student.parameters()]
    return make_optimiser(list(model.amplifiers.parameters()), recipe), make_optimiser(learned, recipe)


def descend(optimiser: torch.optim.Optimizer, losses: Losses) -> None:
    """One step down the gradient of their sum."""
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
