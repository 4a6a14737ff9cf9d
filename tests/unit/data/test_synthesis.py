"""Synthetic anomalies: where they lie, how often, and that a seed says it all."""

from __future__ import annotations

import pytest
import torch

from aand_edge.data.synthesis import (
    CHANGES,
    Synthesiser,
    anomaly_masks,
    augment,
    patch_mask,
    perlin,
    procedural_textures,
)
from aand_edge.errors import UsageError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey(count: int, size: int = 64, value: int = 128) -> torch.Tensor:
    return torch.full((count, 3, size, size), value, dtype=torch.uint8)


def foreground(count: int, size: int = 64) -> torch.Tensor:
    mask = torch.zeros(count, 1, size, size, dtype=torch.bool)
    mask[:, :, 8:56, 8:56] = True
    return mask


def test_noise_is_centred_bounded_and_differs_between_pictures() -> None:
    noise = perlin(64, 64, generator())
    assert noise.shape == (64, 1, 64, 64)
    assert noise.abs().max() <= 1.5
    assert abs(float(noise.mean())) < 0.1
    assert (noise[0] - noise[1]).abs().max() > 0.1


def test_noise_is_smooth() -> None:
    noise = perlin(32, 256, generator())
    assert (noise[..., 1:] - noise[..., :-1]).abs().max() < 0.6  # 64 cells across at most: no jumps between pixels


def test_anomalies_stay_on_the_foreground_and_are_redrawn_until_they_show() -> None:
    mask = anomaly_masks(foreground(64), generator())
    assert (mask[~foreground(64)] == 0).all()
    assert (mask.flatten(1).sum(1) > 4).float().mean() > 0.98


def test_no_foreground_means_no_anomaly() -> None:
    assert anomaly_masks(torch.zeros(4, 1, 64, 64, dtype=torch.bool), generator()).sum() == 0


def test_only_masked_pixels_change_and_about_one_picture_in_five_stays_clean() -> None:
    synthesiser = Synthesiser(procedural_textures(8, 64, generator(1)))
    synthetic = synthesiser(grey(400), foreground(400), generator())
    outside = synthetic.mask.expand(-1, 3, -1, -1) == 0
    assert (synthetic.pictures[outside] == 128).all()
    clean = (synthetic.mask.flatten(1).sum(1) == 0).float().mean()
    assert 0.13 < clean < 0.28


def test_a_texture_never_shows_through_by_less_than_a_fifth() -> None:
    synthetic = Synthesiser(grey(1, value=0))(grey(64, value=255), foreground(64), generator())
    inside = synthetic.pictures[synthetic.mask.expand(-1, 3, -1, -1) > 0]
    assert inside.max() <= 255 * 0.8 + 255 * 0.2 * 1.0  # black texture, inverted at worst
    assert inside.min() >= 0


def test_a_seed_says_it_all() -> None:
    synthesiser = Synthesiser(procedural_textures(8, 64, generator(1)))
    first = synthesiser(grey(8), foreground(8), generator(3))
    again = synthesiser(grey(8), foreground(8), generator(3))
    other = synthesiser(grey(8), foreground(8), generator(4))
    assert torch.equal(first.pictures, again.pictures)
    assert not torch.equal(first.pictures, other.pictures)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("amount", [0.0, 0.999])
def test_every_change_keeps_shape_and_type(change: object, amount: float) -> None:
    textures = procedural_textures(3, 64, generator())
    changed = change(textures, amount)  # type: ignore[operator]
    assert changed.shape == textures.shape
    assert changed.dtype == torch.uint8


def test_augmenting_changes_textures_but_not_its_input() -> None:
    textures = procedural_textures(6, 64, generator())
    before = textures.clone()
    assert not torch.equal(augment(textures, generator(1)), before)
    assert torch.equal(textures, before)


def test_a_patch_is_anomalous_when_more_than_three_tenths_are() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[0, 0, 0, :4] = 1  # a quarter of the upper left patch
    mask[0, 0, 4:6, 4:] = 1  # half of the lower right one
    assert patch_mask(mask, 2).tolist() == [[[[0, 0], [0, 1]]]]


def test_no_textures_are_refused() -> None:
    with pytest.raises(UsageError, match="texture"):
        Synthesiser(torch.zeros(0, 3, 8, 8, dtype=torch.uint8))
