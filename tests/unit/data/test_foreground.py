"""The object is found by itself, and where none stands out the whole picture counts."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aand_edge.data.foreground import foreground
from aand_edge.data.pictures import read_picture

SHARED = Path(os.environ.get("AAND_EDGE_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared")) / "data"


def rgb(grey: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def disc(radius: float, side: int = 128) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.hypot(x, y) < radius


def noise(side: int = 128) -> NDArray[np.floating]:
    return np.random.default_rng(5).standard_normal((side, side))


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.parametrize(("inside", "outside"), [(200, 40), (40, 200), (120, 80)])
def test_an_object_is_found_whether_brighter_or_darker(inside: int, outside: int) -> None:
    true = disc(35)
    found = foreground(rgb(np.where(true, inside, outside) + 5 * noise()))
    assert found.dtype == np.bool_
    assert overlap(found, true) > 0.85
    assert found[true].mean() > 0.99


def test_specks_of_dust_are_no_object() -> None:
    true = disc(30)
    picture = np.where(true, 200.0, 40.0)
    picture[10, 10] = picture[100, 20] = 250
    assert not foreground(rgb(picture))[:16, :40].any()


def texture(name: str) -> NDArray[np.uint8]:
    y, x = np.mgrid[:128, :128]
    grey = {
        "grain": 20 * noise(),
        "blotches": 400 * cv2.GaussianBlur(noise(), (0, 0), 6),
        "weave": 20 * np.sin(x / 3) * np.sin(y / 3) + 6 * noise(),
        "gradient": x - 64 + noise(),
        "even": np.zeros((128, 128)),
    }
    return rgb(128 + grey[name])


@pytest.mark.parametrize("name", ["grain", "blotches", "weave", "gradient", "even"])
def test_a_texture_is_foreground_everywhere(name: str) -> None:
    assert foreground(texture(name)).all()


@pytest.mark.parametrize("radius", [4, 200])
def test_a_dot_or_a_full_frame_leaves_the_whole_picture(radius: int) -> None:
    assert foreground(rgb(np.where(disc(radius), 200.0, 40.0))).all()


def test_an_oblong_picture_is_taken() -> None:
    picture = np.full((60, 200, 3), 30, np.uint8)
    picture[20:40, 50:150] = 220
    found = foreground(picture)
    assert found.shape == (60, 200)
    assert overlap(found, picture[:, :, 0] > 100) > 0.8


@pytest.mark.parametrize(
    ("folder", "least", "most"), [("mvtec_ad/screw/train/good", 0.1, 0.3), ("cookie/train/good", 0.25, 0.5)]
)
def test_real_objects_are_found(folder: str, least: float, most: float) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no pictures in {SHARED / folder}")
    for path in sorted((SHARED / folder).iterdir())[:12]:
        found = foreground(read_picture(path))
        assert least < found.mean() < most, path
        assert found[found.shape[0] // 2 - 20 : found.shape[0] // 2 + 20].any(), path
