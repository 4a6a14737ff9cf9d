"""What several tests share: where other people's pictures and weights lie, and small stand-ins for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("AAND_EDGE_SHARED", REPOSITORY.parent / "shared"))


def shared(path: str) -> Path:
    """A file or folder of the pictures that lie beside the repository; the test is skipped without it."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"{found} is not on this machine")
    return found


@pytest.fixture
def screw() -> Path:
    """The MVTec AD category screw, at 256²."""
    return shared("data/mvtec_ad/screw")


@pytest.fixture
def cookie() -> Path:
    """The Lookout for Vision cookie set, 384×512 JPEG."""
    return shared("data/cookie")


@pytest.fixture
def resnet18_weights() -> Path:
    """ImageNet weights of ResNet18's stem and first three stages."""
    return shared("weights/resnet18_in1k_v1_layers1-3_bnfolded.pth")
