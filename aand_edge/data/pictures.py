"""Read pictures and masks from disk; one rule for every file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.data.headers import claimed_size, fault
from aand_edge.errors import DataError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 1 << 27  # 134 megapixels, 400 MB as RGB: above any inspection camera, below any machine's memory


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture file as uint8 (H, W, 3) RGB.

    Grey is repeated over the three channels, alpha is dropped, 16-bit values become round(v / 257), the first
    page of several is taken, and an EXIF rotation is ignored: pixels come as the sensor stored them, which is how
    a camera delivers them on the line. Raises DataError where the file is missing, torn, too large or no picture.
    """
    return decode_picture(read_bytes(path), path)


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A ground-truth mask as bool (H, W): True where any colour channel is above 0.

    shape: (H, W) of the picture it belongs to. Raises DataError where the mask has another size or cannot be read.
    """
    raw = _decode(read_bytes(path), path)
    if raw.shape[:2] != shape:
        raise DataError(
            f"{path} is {_size(raw.shape)} pixels but its picture is {_size(shape)}",
            "Give the mask the size of its picture, with nearest-neighbour scaling.",
        )
    colours = raw[:, :, :3] if raw.ndim == 3 else raw[:, :, np.newaxis]
    return np.asarray(colours.any(axis=2))


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises DataError naming the file where it is missing or cannot be opened."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{path} cannot be read ({reason})", "Check the path and its permissions.") from None


def decode_picture(data: bytes, path: Path) -> NDArray[np.uint8]:
    """`read_picture` on bytes already read; `path` is only named in errors."""
    raw = _eight_bits(_decode(data, path), path)
    if raw.ndim == 2:
        return cv2.cvtColor(raw, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
    code = cv2.COLOR_BGRA2RGB if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(raw, code).astype(np.uint8, copy=False)


def brightness(picture: NDArray[np.uint8]) -> float:
    """Mean grey level, 0 to 255, over all channels of every fourth row and column of a picture (H, W, 3)."""
    return float(picture[::4, ::4].mean())


def _decode(data: bytes, path: Path) -> NDArray[Any]:
    """The stored values: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, of any depth."""
    reason = fault(data)
    if reason is not None:
        raise DataError(f"{path} is {reason}", "Copy it again from its source, or take it out.")
    size = claimed_size(data)
    if size is None:
        raise DataError(f"{path} is no picture", f"Use one of {', '.join(sorted(PICTURE_SUFFIXES))}.")
    if size[0] * size[1] > MAX_PIXELS:
        raise DataError(f"{path} claims {size[0]}x{size[1]} pixels", f"At most {MAX_PIXELS} pixels are read.")
    try:
        # IMREAD_UNCHANGED keeps the depth and is the one flag that leaves the EXIF rotation alone.
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        raw = None
    if raw is None:
        raise DataError(f"{path} is damaged or truncated", "Copy it again from its source, or take it out.")
    return raw


def _eight_bits(raw: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if raw.dtype == np.uint16:  # 65535 = 255 · 257, and (v + 128) // 257 rounds v / 257 exactly
        return ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if raw.dtype != np.uint8:
        raise DataError(f"{path} holds {raw.dtype} values", "Save it with 8 or 16 unsigned bits a channel.")
    return raw


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
