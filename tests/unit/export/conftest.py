"""A small model with random weights, and each of its graphs exported once for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from aand_edge.artifacts import ModelCard, Region
from aand_edge.export.export import Exported, ExportOptions, export_model
from aand_edge.model.aand import Aand
from aand_edge.training.checkpoint import save_model

FRAME = (200, 120)  # width, height


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An efficientnet_lite0 model with random weights, and three held-out pictures."""
    folder = tmp_path_factory.mktemp("models") / "part"
    data = folder.parent / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        picture = cv2.resize(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8), FRAME, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(data / f"{number}.png"), picture)
    torch.manual_seed(0)
    card = ModelCard(
        name="part",
        backbone="efficientnet_lite0",
        size=64,
        amplify=True,
        hard_patches=10,
        seed=0,
        data={"root": str(data), "category": data.name},
        holdout=["0.png", "1.png", "2.png"],
        recipe={},
        protocol="none",
        weights={"sha256": save_model(folder, Aand("efficientnet_lite0", 64))},
        versions={},
        seconds={},
    )
    card.write(folder / "card.json")
    return folder


Export = Callable[..., Exported]


@pytest.fixture(scope="package")
def of_region(model: Path) -> Path:
    """The same model, as if trained on a region of its pictures: 120 × 100 pixels of 200 × 120."""
    folder = model.parent / "region"
    shutil.copytree(model, folder, ignore=lambda _, names: {name for name in names if name.startswith("part.")})
    card = ModelCard.read(model / "card.json")
    card.name, card.region = "region", Region(frame=(120, 200), roi=(40, 10, 120, 100))
    card.write(folder / "card.json")
    return folder


@pytest.fixture(scope="package")
def export(model: Path, of_region: Path) -> Export:
    """Exports the model, or region=True the one of a region, once for each set of options."""

    @lru_cache
    def exported(region: bool = False, **options: Any) -> Exported:
        return export_model(of_region if region else model, ExportOptions(**options))

    return exported
