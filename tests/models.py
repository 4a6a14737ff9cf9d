"""A category of pictures and a model's card, as small as what only looks them up needs them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from aand_edge.artifacts import ModelCard


def write_category(folder: Path) -> Path:
    for split in ("train/good", "test/good"):
        (folder / split).mkdir(parents=True)
        cv2.imwrite(str(folder / split / "0.png"), np.zeros((64, 64, 3), np.uint8))
    return folder


def write_card(folder: Path, name: str, root: Path) -> Path:
    folder.mkdir(parents=True)
    ModelCard(
        name=name,
        backbone="resnet18",
        size=96,
        amplify=True,
        hard_patches=10,
        seed=0,
        data={"root": str(root), "layout": "mvtec", "category": root.name},
        holdout=[],
        recipe={},
        protocol="",
        weights={},
        versions={},
        seconds={},
    ).write(folder / "card.json")
    return folder
