"""The sample set on disk, in the mvtec layout."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.data.sample.defects import DEFECTS
from aand_edge.data.sample.render import render_part
from aand_edge.errors import UsageError

GOOD = "good"


def write_sample_set(
    root: Path, train: int = 60, test_good: int = 12, per_defect: int = 6, size: int = 256, seed: int = 0
) -> Path:
    """Render a category into the new folder `root` and return it: train/good, test/KIND, ground_truth/KIND.

    Each picture has a generator of its own, so that a longer set begins with the pictures of a shorter one.
    `root` appears when the set is whole. Raises UsageError where it holds something already.
    """
    if min(train, test_good, per_defect, seed) < 0:
        raise UsageError("A sample set cannot have negative counts or a negative seed", "Give numbers from 0.")
    check_vacant(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as temporary:
        whole = Path(temporary) / root.name
        _write_kind(whole, "train", GOOD, train, size, seed)
        _write_kind(whole, "test", GOOD, test_good, size, seed)
        for kind in DEFECTS:
            _write_kind(whole, "test", kind, per_defect, size, seed)
        whole.mkdir(exist_ok=True)
        shutil.move(whole, _vacated(root))
    return root


def check_vacant(root: Path) -> None:
    """Raises UsageError where `root` holds something already."""
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root} is there already and not empty", "Name a new folder.")


def _vacated(root: Path) -> Path:
    if root.exists():
        root.rmdir()  # empty, as was checked
    return root


def _write_kind(root: Path, split: str, kind: str, count: int, size: int, seed: int) -> None:
    stream = [seed, *f"{split}/{kind}".encode()]
    for number in range(count):
        rng = np.random.default_rng([*stream, number])
        picture, mask = render_part(rng, size, None if kind == GOOD else kind)
        _write(root / split / kind / f"{number:03}.png", picture[:, :, ::-1])
        if kind != GOOD:
            _write(root / "ground_truth" / kind / f"{number:03}_mask.png", mask.astype(np.uint8) * 255)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
