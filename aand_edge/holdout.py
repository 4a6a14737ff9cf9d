"""Held-out good pictures, as they lie beside a graph: what an engine is accepted on where there is no data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import atomic_path, lies_within
from aand_edge.errors import ArtefactMismatchError

UNPACKED, UNPACKED_RATIO = 4 << 30, 100  # bytes that any set may have, and how often its file's own size beyond them


@dataclass(frozen=True)
class HoldoutSet:
    """Held-out good pictures as the graph takes them, with the fp32 reference's answer.

    Written beside the graph by `export`, so that an engine can be accepted on a device that has no data set.

    frames   uint8 (N, H, W, 3), in the graph's channel order
    scores   float32 (N,), of the PyTorch model
    names    N file names, relative to the data root
    colour   order of the frames' channels
    roi      x, y, width, height of the part of the frame that was scored; None: all of it
    weights  SHA-256 of the model.safetensors that answered
    """

    frames: NDArray[np.uint8]
    scores: NDArray[np.float32]
    names: tuple[str, ...]
    colour: str
    roi: tuple[int, int, int, int] | None
    weights: str

    def write(self, path: Path) -> None:
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(
                stream,
                frames=self.frames,
                scores=self.scores,
                names=np.array(self.names, dtype=str),
                colour=np.array(self.colour),
                roi=np.array(self.roi or (), dtype=np.int64),
                weights=np.array(self.weights),
            )

    @classmethod
    def read(cls, path: Path) -> HoldoutSet:
        """Raises ArtefactMismatchError where the file is missing, torn or of another kind."""
        if not path.is_file():
            raise ArtefactMismatchError(
                f"The held-out set {path} is missing", "It lies beside the graph: write both with `aand-edge export`."
            )
        try:
            if not is_zipfile(path):  # numpy would take it for another kind of file
                raise ValueError("no zip file")
            _check_unpacked(path)
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in ("frames", "scores", "names", "colour", "roi", "weights")}
        except Exception as error:  # zipfile, zlib and numpy each have errors of their own for a damaged file
            raise ArtefactMismatchError(
                f"{path} cannot be read ({type(error).__name__})", "Write it again with `aand-edge export`."
            ) from None
        if not _is_holdout(arrays):
            raise ArtefactMismatchError(f"{path} is no held-out set", "Write it again with `aand-edge export`.")
        roi = [int(each) for each in arrays["roi"]]
        return cls(
            arrays["frames"],
            arrays["scores"].astype(np.float32),
            tuple(str(name) for name in arrays["names"]),
            str(arrays["colour"]),
            (roi[0], roi[1], roi[2], roi[3]) if roi else None,
            str(arrays["weights"]),
        )


def _check_unpacked(path: Path) -> None:
    """Raises ValueError where a zip file holds so much more than its size that it was made to fill memory."""
    with ZipFile(path) as stored:
        size = sum(each.file_size for each in stored.infolist())
    if size > max(UNPACKED, UNPACKED_RATIO * path.stat().st_size):
        raise ValueError("a zip file that unpacks to too much")


def _is_holdout(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether arrays have the types and shapes of a held-out set, and its numbers are finite and lie in its frames."""
    frames, scores, names, roi = (arrays[name] for name in ("frames", "scores", "names", "roi"))
    kinds = {name: array.dtype.kind for name, array in arrays.items()}
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        return False
    if kinds["scores"] != "f" or kinds["names"] != "U" or not scores.shape == names.shape == frames.shape[:1]:
        return False
    if arrays["weights"].shape or arrays["colour"].shape or str(arrays["colour"]) not in ("BGR", "RGB"):
        return False
    if roi.shape not in ((0,), (4,)) or kinds["roi"] != "i" or not np.isfinite(scores).all():
        return False
    return not roi.size or lies_within(tuple(map(int, roi)), frames.shape[1:3])


def calibration_rows(held_out: int, images: int) -> NDArray[np.intp]:
    """Which of the held-out pictures calibration reads ranges from, in ascending order.

    A seeded draw: the first pictures by name are those of one shift.
    """
    return np.sort(np.random.default_rng(0).choice(held_out, min(images, held_out), replace=False))
