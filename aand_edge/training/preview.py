"""A contact sheet of synthetic anomalies, so that a person can judge what stage one will learn from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from aand_edge.artifacts import atomic_path
from aand_edge.data.checks import check_category
from aand_edge.data.layouts import Category
from aand_edge.training.loop import epoch_generator
from aand_edge.training.options import TrainingOptions
from aand_edge.training.pictures import build_synthesiser, load_training, region_of

COLUMNS, ROWS = 6, 4
OUTLINE = (255, 64, 32)  # RGB


def write_preview(category: Category, path: Path, options: TrainingOptions) -> None:
    """Write a PNG of 24 training pictures with synthetic anomalies, their masks outlined."""
    report = check_category(category)
    report.raise_for_problems()
    generator = epoch_generator(options.seed, "preview", 0)
    rows = torch.randint(len(category.train), (COLUMNS * ROWS,), generator=generator).tolist()
    training = load_training([category.train[row] for row in rows], options.size, region_of(report, options.roi))
    synthesiser = build_synthesiser(training, options.textures, generator)
    synthetic = synthesiser(training.pictures, training.foreground, generator)
    tiles = [_tile(picture, mask) for picture, mask in zip(synthetic.pictures, synthetic.mask, strict=True)]
    sheet = np.vstack([np.hstack(tiles[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)])
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())


def _tile(picture: Tensor, mask: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = np.ascontiguousarray(picture.permute(1, 2, 0).byte().numpy())
    outlines, _ = cv2.findContours(mask[0].byte().numpy(), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, OUTLINE, 1)
    return image
