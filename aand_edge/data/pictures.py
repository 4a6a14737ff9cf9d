"""Reading pictures and masks: one decoder, one rule for every file.

A picture comes in as uint8 RGB: grey is repeated in three channels, an alpha channel is dropped, 16 bits become
8 by v / 257, rounded. EXIF rotation is ignored, as a camera on a line has none and a mask would not follow it.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.errors import DataError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
LARGEST = 100_000_000  # pixels; a header that claims more is a damaged or hostile file

# OpenCV fills what a truncated file lacks with grey and says so only on the console.
# Each of these formats ends in bytes that a truncated file does not have.
ENDINGS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82"}


def read_picture(path: Path) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), RGB. Raises DataError, naming the file, where it is unreadable or truncated."""
    return _as_rgb(_decode(path))


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """bool (H, W), true where the mask is not 0. Raises DataError where its size is not `shape` (H, W)."""
    mask = _decode(path)
    if mask.shape[:2] != shape:
        raise DataError(
            f"The mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, its picture {shape[1]}x{shape[0]}",
            "Save the mask in the picture's size.",
        )
    if mask.ndim == 2:
        return mask > 0
    return (mask[:, :, :3] > 0).any(axis=2)


def _decode(path: Path) -> NDArray[np.generic]:
    try:
        data = np.fromfile(path, dtype=np.uint8)  # cv2.imread knows no non-ASCII paths on every system
    except OSError as error:
        raise DataError(f"The picture {path} cannot be opened ({error.strerror})", "Check the path.") from None
    _refuse_truncated(path, data.tobytes())
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:
        picture = None
    if picture is None or picture.size == 0:
        raise DataError(f"The picture {path} cannot be decoded", "Save it again as PNG or JPEG, or remove it.")
    if picture.shape[0] * picture.shape[1] > LARGEST:
        raise DataError(f"The picture {path} has over {LARGEST:,} pixels", "Crop it or scale it down.")
    return picture


def _refuse_truncated(path: Path, data: bytes) -> None:
    for start, end in ENDINGS.items():
        if data.startswith(start) and end not in data[-1024:]:  # some cameras pad after the end marker
            raise DataError(f"The picture {path} is truncated", "Copy it again, or remove it.")


def _as_rgb(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    if picture.dtype == np.uint16:
        picture = np.rint(picture.astype(np.float32) / 257).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = np.rint(np.clip(picture.astype(np.float32), 0, 1) * 255).astype(np.uint8)  # float TIFF: 0 … 1
    if picture.ndim == 2:
        return np.ascontiguousarray(np.repeat(picture[:, :, None], 3, axis=2)).astype(np.uint8, copy=False)
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2).astype(np.uint8, copy=False)
    return np.ascontiguousarray(picture[:, :, 2::-1]).astype(np.uint8, copy=False)


os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(LARGEST))
