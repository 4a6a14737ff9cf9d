"""The network's sizes and the invariants that the method promises."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from aand_edge.errors import UsageError
from aand_edge.model.aand import Aand, anomaly_map, blur, cosine_distance
from aand_edge.model.amplification import Amplifier, positional_encoding
from aand_edge.model.choices import BACKBONES


def parameters(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def pictures(size: int, count: int = 2) -> Tensor:
    return 255 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_the_papers_network_has_the_papers_parameters() -> None:
    model = Aand("wide_resnet50_2")
    assert parameters(model.teacher) == 24_862_528
    assert [parameters(raa) for raa in model.amplifiers or ()] == [1_076_736, 4_250_624, 6_400_000]
    assert parameters(model.bottleneck) == 58_885_120
    assert parameters(model.student) == 24_917_504
    assert parameters(model) == 120_392_512


def test_a_resnet18_network_has_its_parameters() -> None:
    assert parameters(Aand("resnet18")) == 19_591_488


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("amplify", [True, False])
def test_every_backbone_answers_with_a_map_and_its_maximum(backbone: str, amplify: bool) -> None:
    model = Aand(backbone, size=64, amplify=amplify).eval()
    with torch.no_grad():
        anomaly, score = model(pictures(64))
    assert anomaly.shape == (2, 64, 64)
    assert (anomaly >= 0).all()
    assert torch.equal(score, anomaly.flatten(1).amax(1))


@pytest.mark.parametrize("size", [64, 96, 160])
def test_features_have_the_strides_4_8_16_at_every_size(size: int) -> None:
    model = Aand("efficientnet_lite0", size=size).eval()
    with torch.no_grad():
        advanced = model.advanced(pictures(size))
        restored = model.restore(advanced)
    assert [level.shape[1:] for level in advanced] == [
        (24, size // 4, size // 4),
        (40, size // 8, size // 8),
        (112, size // 16, size // 16),
    ]
    assert [level.shape for level in restored] == [level.shape for level in advanced]


@pytest.mark.parametrize("size", [0, 32, 100, 250])
def test_a_size_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match="multiple of 32"):
        Aand("resnet18", size=size)


def test_an_unknown_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="efficientnet_lite0"):
        Aand("resnet19")


def test_training_never_moves_the_teacher() -> None:
    model = Aand("resnet18", size=64).train()
    before = {key: value.clone() for key, value in model.teacher.state_dict().items()}
    model(pictures(64))
    assert not model.teacher.training
    assert all(torch.equal(before[key], value) for key, value in model.teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())


def test_advanced_features_lie_between_nothing_and_twice_the_vanilla_ones() -> None:
    torch.manual_seed(0)
    raa = Amplifier(16, 8, 8)
    features = 5 * torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        raa.generator[-1].weight.mul_(100)  # drive tanh to its ends
        for mask in (None, torch.ones(2, 1, 8, 8)):
            advanced = raa(features, mask)
            assert (advanced >= 0).all()
            assert (advanced <= 2 * features).all()


def test_a_zero_mask_leaves_the_features_as_they_are() -> None:
    raa = Amplifier(16, 8, 8)
    features = torch.randn(2, 16, 8, 8)
    assert torch.equal(raa(features, torch.zeros(2, 1, 8, 8)), features)


def test_the_gate_is_a_probability_that_the_temperature_keeps_from_its_ends() -> None:
    torch.manual_seed(0)
    gate = Amplifier(16, 8, 8).gate(10 * torch.randn(4, 16, 8, 8))
    assert gate.shape == (4, 1, 8, 8)
    assert gate.min() > 4.5e-5
    assert gate.max() < 0.99996


def test_the_gate_of_zero_features_is_finite() -> None:
    raa = Amplifier(16, 8, 8)
    for part in raa.query:
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.bias)
    raa.position.zero_()
    assert raa.gate(torch.zeros(1, 16, 8, 8)).isfinite().all()


def test_position_encodes_x_in_the_first_half_and_y_in_the_second() -> None:
    encoding = positional_encoding(24, 5, 7)[0]
    assert encoding.shape == (24, 5, 7)
    assert torch.equal(encoding[:12, 0], encoding[:12, 4])  # the same in every row
    assert torch.equal(encoding[12:, :, 0], encoding[12:, :, 6])  # the same in every column
    assert len({tuple(encoding[:, y, x].tolist()) for y in range(5) for x in range(7)}) == 35


def test_cosine_distance_of_zero_vectors_is_one_and_has_a_finite_gradient() -> None:
    a = torch.zeros(1, 4, 2, 2, requires_grad=True)
    distance = cosine_distance(a, torch.ones(1, 4, 2, 2))
    distance.sum().backward()
    assert torch.equal(distance, torch.ones(1, 2, 2))
    assert a.grad is not None
    assert a.grad.isfinite().all()


def test_the_map_is_zero_where_student_and_teacher_agree() -> None:
    levels = tuple(torch.rand(1, c, s, s) + 0.1 for c, s in ((8, 16), (16, 8), (32, 4)))
    assert anomaly_map(levels, levels, 64).max() < 1e-6  # type: ignore[arg-type]


def test_the_blur_is_scipys_gaussian() -> None:
    maps = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([torch.from_numpy(gaussian_filter(each.numpy(), sigma=4)) for each in maps])
    assert (blur(maps) - expected).abs().max() < 1e-6
