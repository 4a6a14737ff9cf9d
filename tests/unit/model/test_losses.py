"""What each loss is, and which parameters it reaches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from aand_edge.model.amplification import Amplifier
from aand_edge.model.losses import amplification, distillation, focal

Levels = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def raa() -> Amplifier:
    torch.manual_seed(0)
    return Amplifier(16, 8, 8)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Features, a mask with anomalies in the first picture, and a foreground."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, 0, 2:5, 2:5] = 1
    return torch.rand(2, 16, 8, 8, generator=generator), mask, torch.ones(2, 1, 8, 8)


def value(loss: Tensor) -> float:
    return float(loss.detach())


def levels(seed: int) -> Levels:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(2, c, s, s, generator=generator) for c, s in ((8, 16), (16, 8), (32, 4)))  # type: ignore[return-value]


def reached(raa: Amplifier) -> set[str]:
    found = {name.split(".")[0] for name, p in raa.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    raa.zero_grad()
    return found


def test_focal_trains_only_the_gate_and_amplification_only_the_residual(raa: Amplifier) -> None:
    features, mask, foreground = batch()
    focal(raa.gate(features), mask).backward()
    assert reached(raa) == {"query", "memory"}
    amplification(raa, features, mask, foreground).backward()
    assert reached(raa) == {"generator"}


def test_amplification_is_its_margin_while_nothing_is_amplified(raa: Amplifier) -> None:
    for parameter in raa.generator.parameters():
        torch.nn.init.zeros_(parameter)
    assert value(amplification(raa, *batch())) == pytest.approx(0.3, abs=1e-6)


def test_amplification_counts_every_pair_as_the_formula_does(raa: Amplifier) -> None:
    features, mask, foreground = batch()
    foreground[1, 0, :, :4] = 0
    patches = features.permute(0, 2, 3, 1).reshape(-1, 16)
    advanced = raa(features, torch.ones_like(mask)).detach().permute(0, 2, 3, 1).reshape(-1, 16)
    pairs = [
        max(
            0.0,
            float(torch.cosine_similarity(patches[n], advanced[a], dim=0))
            - (float(torch.cosine_similarity(patches[n], patches[a], dim=0)) - 0.3),
        )
        for n in range(128)
        if foreground.flatten()[n] and not mask.flatten()[n]
        for a in range(128)
        if mask.flatten()[a]
    ]
    assert value(amplification(raa, features, mask, foreground)) == pytest.approx(sum(pairs) / len(pairs), rel=1e-4)


@pytest.mark.parametrize("empty", ["mask", "foreground"])
def test_amplification_is_zero_without_anomalies_or_without_normal_foreground(raa: Amplifier, empty: str) -> None:
    features, mask, foreground = batch()
    (mask if empty == "mask" else foreground).zero_()
    assert value(amplification(raa, features, mask, foreground)) == 0.0


def test_focal_weighs_the_anomalous_class() -> None:
    gate, mask = torch.full((1, 1, 1, 2), 0.3), torch.tensor([[[[1.0, 0.0]]]])
    expected = (-0.8 * 0.7**2 * math.log(0.3) - 0.2 * 0.3**2 * math.log(0.7)) / 2
    assert value(focal(gate, mask)) == pytest.approx(expected, rel=1e-5)


def test_distillation_of_equal_features_is_zero() -> None:
    assert value(distillation(levels(0), levels(0))) == pytest.approx(0, abs=1e-5)


def test_distillation_is_the_flattened_cosine_plus_the_hardest_patches() -> None:
    teacher, student = levels(0), levels(1)
    flat = hard = 0.0
    for a, b in zip(teacher, student, strict=True):
        flat += float((1 - torch.cosine_similarity(a.flatten(1), b.flatten(1))).mean())
        hard += float((1 - torch.cosine_similarity(a, b)).flatten(1).sort(dim=1, descending=True).values[:, :10].mean())
    assert value(distillation(teacher, student)) == pytest.approx(flat + hard, rel=1e-4)
    assert value(distillation(teacher, student, hard_patches=0)) == pytest.approx(flat, rel=1e-4)
