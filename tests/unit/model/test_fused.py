"""The fused module answers as the model does: each exact shortening has its own test."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from aand_edge.data.resize import crop, resize_float, resize_matrix
from aand_edge.model.aand import Aand, blur
from aand_edge.model.amplification import Amplifier
from aand_edge.model.choices import BACKBONES
from aand_edge.model.fused import FrameGeometry, FusedAand, FusedAmplifier, fold_batch_norms, upsample_and_blur
from aand_edge.model.subpixel import SubpixelConv2d


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Random weights do not depend on which tests ran before."""
    torch.manual_seed(0)


def lively(model: nn.Module) -> nn.Module:
    """Random statistics, so that a BatchNorm that was folded wrongly shows."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    return model.eval()


def frames(height: int, width: int, count: int = 2) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("amplify", [True, False])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_fused_equals_the_model(backbone: str, amplify: bool) -> None:
    model = lively(Aand(backbone, size=64, amplify=amplify))
    bgr = torch.from_numpy(frames(64, 64))
    with torch.no_grad():
        expected, score = model(bgr.flip(-1).permute(0, 3, 1, 2).float())
        fused, fused_score = FusedAand(model)(bgr)  # type: ignore[arg-type]
    assert expected.std() > 1e-3
    assert (fused - expected).abs().max() < 1e-5
    assert (fused_score - score).abs().max() < 1e-5


def test_level_weights_are_in_the_graph() -> None:
    model = lively(Aand("resnet18", size=64))
    weighted = lively(Aand("resnet18", size=64, level_weights=(0.5, 0.25, 2.25)))
    weighted.load_state_dict(model.state_dict())
    bgr = torch.from_numpy(frames(64, 64))
    with torch.no_grad():
        plain, _ = model(bgr.flip(-1).permute(0, 3, 1, 2).float())
        expected, score = weighted(bgr.flip(-1).permute(0, 3, 1, 2).float())
        fused, fused_score = FusedAand(weighted)(bgr)  # type: ignore[arg-type]
    assert (expected - plain).abs().max() > 1e-2  # of random weights: a thousand times what fusing may move
    assert (fused - expected).abs().max() < 1e-5
    assert (fused_score - score).abs().max() < 1e-5


def test_rgb_frames_are_taken_in_their_own_order() -> None:
    model = lively(Aand("resnet18", size=64))
    rgb = torch.from_numpy(frames(64, 64))
    with torch.no_grad():
        as_rgb, _ = FusedAand(model, colour="RGB")(rgb)  # type: ignore[arg-type]
        as_bgr, _ = FusedAand(model, colour="BGR")(rgb.flip(-1))  # type: ignore[arg-type]
    assert (as_rgb - as_bgr).abs().max() < 1e-6


def test_half_precision_stays_near() -> None:
    model = lively(Aand("resnet18", size=64))
    bgr = torch.from_numpy(frames(64, 64))
    with torch.no_grad():
        full, _ = FusedAand(model)(bgr)  # type: ignore[arg-type]
        fused = FusedAand(model, half=True)  # type: ignore[arg-type]
        half, _ = fused(bgr)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.01
    kinds = {name: parameter.dtype for name, parameter in fused.named_parameters()}
    assert set(kinds.values()) == {torch.float16}
    assert all(buffer.dtype == torch.float32 for name, buffer in fused.named_buffers() if ".match." in f".{name}")


def test_fusing_leaves_the_model_as_it_was() -> None:
    model = lively(Aand("resnet18", size=64))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    FusedAand(model, half=True)  # type: ignore[arg-type]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_crop_and_resize_in_the_graph_are_the_hosts() -> None:
    model = lively(Aand("resnet18", size=64))
    roi = (30, 10, 200, 150)
    bgr = frames(180, 260)
    geometry = FrameGeometry(torch.tensor(resize_matrix(150, 64)), torch.tensor(resize_matrix(200, 64)), roi)
    fused = FusedAand(model, geometry=geometry)  # type: ignore[arg-type]
    assert fused.resize is not None
    on_host = np.stack([resize_float(crop(frame, roi), 64, 64) for frame in bgr])
    in_graph = fused.resize(torch.from_numpy(bgr).float().permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert np.abs(in_graph - on_host).max() < 1e-3  # grey levels


@pytest.mark.parametrize("channels", [16, 24])
def test_the_gate_without_position_softmax_or_norms_is_the_gate(channels: int) -> None:
    torch.manual_seed(0)
    raa = Amplifier(channels, 8, 8)
    features = torch.randn(2, channels, 8, 8)
    with torch.no_grad():
        fused = FusedAmplifier(raa)
        assert (fused.gate(features) - raa.gate(features)).abs().max() < 1e-5
        assert (fused(features) - raa(features)).abs().max() < 1e-5


@pytest.mark.parametrize("side", [4, 8, 16])
def test_one_matrix_up_samples_and_blurs(side: int) -> None:
    level = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    expected = blur(nn.functional.interpolate(level, size=64, mode="bilinear", align_corners=True)[:, 0])
    matrix = upsample_and_blur(side, 64)
    assert (matrix @ level[0, 0] @ matrix.T - expected[0]).abs().max() < 1e-6


def test_a_sub_pixel_convolution_answers_what_the_transposed_one_does() -> None:
    torch.manual_seed(0)
    transposed = nn.ConvTranspose2d(6, 5, 2, stride=2)
    x = torch.randn(2, 6, 4, 3)
    with torch.no_grad():
        assert (SubpixelConv2d(transposed)(x) - transposed(x)).abs().max() < 1e-6


@pytest.mark.parametrize(("backbone", "left"), [("resnet18", 0), ("resnet50", 0), ("efficientnet_lite0", 3)])
def test_only_depthwise_transposed_convolutions_are_left_in_a_student(backbone: str, left: int) -> None:
    student = FusedAand(Aand(backbone, size=64)).trunk.student  # type: ignore[arg-type]
    transposed = [part for part in student.modules() if isinstance(part, nn.ConvTranspose2d)]
    assert len(transposed) == left
    assert all(part.groups == part.in_channels for part in transposed)


@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_batch_norm_folds_into_every_kind_of_convolution(kind: type[nn.Conv2d], groups: int) -> None:
    torch.manual_seed(0)
    block = lively(
        nn.Sequential(
            kind(6, 12 if groups == 1 else 6, 2, stride=2, groups=groups), nn.BatchNorm2d(12 if groups == 1 else 6)
        )
    )
    x = torch.randn(1, 6, 8, 8)
    with torch.no_grad():
        expected = block(x)
        folded = fold_batch_norms(block)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
        assert (folded(x) - expected).abs().max() < 1e-5
