"""Training pictures in memory: decoded and resized once, with the foreground that anomalies may lie on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aand_edge.artifacts import Region, lies_within
from aand_edge.data.checks import SMALLEST_SIDE, DataReport
from aand_edge.data.foreground import foreground
from aand_edge.data.layouts import Sample
from aand_edge.data.pictures import PICTURE_SUFFIXES, read_bytes, read_picture
from aand_edge.data.resize import Roi, crop, resize
from aand_edge.data.synthesis import Synthesiser, procedural_textures
from aand_edge.errors import DataError, UsageError

OWN_TEXTURES, PROCEDURAL_TEXTURES = 128, 128
MIN_HOLDOUT = 4


@dataclass(frozen=True)
class TrainingPictures:
    """Pictures of good parts.

    pictures     uint8 (N, 3, S, S), RGB
    foreground   bool (N, 1, S, S)
    """

    pictures: Tensor
    foreground: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


def region_of(report: DataReport, roi: Roi | None) -> Region | None:
    """The region of the checked pictures that is looked at. Raises UsageError where it does not lie in all of them."""
    if roi is None:
        return None
    if len(report.sizes) > 1:
        raise UsageError(
            f"The pictures have {len(report.sizes)} sizes ({', '.join(report.sizes)}), and a region is one of one size",
            "Leave --roi out, or keep to pictures of one camera.",
        )
    width, height = map(int, next(iter(report.sizes)).split("x"))
    x, y, w, h = roi
    if min(w, h) < SMALLEST_SIDE:
        raise UsageError(f"A region of {w}x{h} shows no part", f"Make it {SMALLEST_SIDE} pixels or more a side.")
    if not lies_within(roi, (height, width)):
        raise UsageError(f"The region {w}x{h}+{x}+{y} leaves the pictures of {width}x{height}", "Check --roi.")
    return Region(frame=(height, width), roi=roi)


def as_network_sees(picture: NDArray[np.uint8], size: int, region: Region | None = None) -> NDArray[np.uint8]:
    """uint8 (size, size, 3) of a picture (H, W, 3): what of it a model looks at, squeezed to a square.

    Raises DataError where the picture is not of the size that the region is told in.
    """
    if region is None:
        return resize(picture, size, size)
    if picture.shape[:2] != region.frame:
        raise DataError(
            f"A picture of {picture.shape[1]}x{picture.shape[0]} does not have the region {region}",
            "Take pictures of the camera that the model was trained for.",
        )
    return resize(crop(picture, region.roi), size, size)


def load_pictures(samples: Sequence[Sample], size: int, region: Region | None = None) -> Tensor:
    """uint8 (N, 3, size, size), RGB, resized as every other part of aand-edge resizes."""
    pictures = np.stack([as_network_sees(read_picture(sample.path), size, region) for sample in samples])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def load_training(samples: Sequence[Sample], size: int, region: Region | None = None) -> TrainingPictures:
    """The pictures with their automatic foreground."""
    pictures = load_pictures(samples, size, region)
    masks = [foreground(np.ascontiguousarray(picture.permute(1, 2, 0).numpy())) for picture in pictures]
    return TrainingPictures(pictures, torch.from_numpy(np.stack(masks))[:, None])


def split_holdout(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(for training, held out): a share drawn by `seed`, and at least four pictures where a quarter is that many.

    Copies of one picture stay together: held out, one that was trained on would promise too much.
    """
    fewest = min(MIN_HOLDOUT, max(1, len(samples) // 4))
    count = min(max(round(share * len(samples)), fewest), len(samples) - 1)
    contents = [hashlib.sha256(read_bytes(sample.path)).digest() for sample in samples]
    copies, drawn, room = Counter(contents), set[bytes](), count
    for row in torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)).tolist():
        content = contents[row]
        if content not in drawn and copies[content] <= room:
            drawn.add(content)
            room -= copies[content]
    held_out = [sample for sample, content in zip(samples, contents, strict=True) if content in drawn]
    if not held_out:
        raise DataError("The good pictures are copies of one another", "Take pictures of different parts.")
    return [sample for sample, content in zip(samples, contents, strict=True) if content not in drawn], held_out


def build_synthesiser(training: TrainingPictures, textures: Path | None, generator: torch.Generator) -> Synthesiser:
    """Textures from a folder, or else from the training pictures themselves and procedural noise."""
    size = training.pictures.shape[-1]
    if textures is not None:
        return Synthesiser(_folder_textures(textures, size))
    own = training.pictures[torch.randperm(len(training), generator=generator)[:OWN_TEXTURES]]
    return Synthesiser(torch.cat((own, procedural_textures(PROCEDURAL_TEXTURES, size, generator))))


def _folder_textures(folder: Path, size: int) -> Tensor:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not files:
        raise UsageError(f"{folder} holds no pictures", "Check --textures.")
    return load_pictures([Sample(path, "texture", None) for path in files], size)
