"""The one preprocessing definition: antialiased bicubic resizing by two constant matrices,
y = clip(R_h · clip(x · R_wᵀ)).

Training, calibration, evaluation, bench and the camera loop use `resize`; the fused graph holds the same two
matrices and sees the same picture, but for the rounding to whole grey levels that ends `resize`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.errors import UsageError

Roi = tuple[int, int, int, int]  # x, y, width, height, in pixels
CUBIC_A = -0.5  # Catmull-Rom, as Pillow; OpenCV has −0.75
SUPPORT = 2.0  # of the cubic kernel, in source pixels when enlarging
BLOCK = 16  # target rows that are computed together


@lru_cache(maxsize=32)
def resize_matrix(source: int, target: int) -> NDArray[np.float32]:
    """float32 (target, source), rows summing to 1: one axis of an antialiased bicubic resize (Keys 1981, a = −0.5).

    When shrinking, the kernel is widened by source / target, so that no source pixel is skipped.
    """
    scale = source / target
    width = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale  # pixel centres lie at half integers
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / width
    weights = _cubic(distance)
    matrix: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    a, d = CUBIC_A, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d < 1, near, np.where(d < SUPPORT, far, 0.0))


def resize_float(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """float32 (height, width, C) of uint8 (H, W, C): across, then down, clipped to 0 … 255 each time; not rounded.

    The clip between the axes keeps the overshoot beside a highlight from spreading, as in Pillow.
    """
    source_height, source_width, channels = picture.shape
    # Most of the time goes into moving pixels: OpenCV transposes them several times faster than NumPy.
    lines = np.asarray(cv2.transpose(picture)).reshape(source_width, -1)  # (W, H·C)
    across = _multiply(source_width, width, lines).reshape(width, source_height, channels)
    lines = np.asarray(cv2.transpose(across)).reshape(source_height, -1)  # (H, width·C)
    return _multiply(source_height, height, lines).reshape(height, width, channels)


def _multiply(source: int, target: int, lines: NDArray[Any]) -> NDArray[np.float32]:
    """clip(R · lines): (source, N) → (target, N), block by block, since R is zero far from its diagonal."""
    out = np.empty((target, lines.shape[1]), dtype=np.float32)
    for rows, columns, block in _blocks(source, target):
        np.matmul(block, lines[columns].astype(np.float32, copy=False), out=out[rows])
    return np.clip(out, 0, 255, out=out)


@lru_cache(maxsize=32)
def _blocks(source: int, target: int) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """The parts of `resize_matrix` that are not zero: rows, columns and values, a few rows at a time."""
    matrix, blocks = resize_matrix(source, target), []
    for start in range(0, target, BLOCK):
        rows = slice(start, min(start + BLOCK, target))
        used = np.flatnonzero(matrix[rows].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((rows, columns, np.ascontiguousarray(matrix[rows, columns])))
    return blocks


def resize(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """uint8 (height, width, C) of uint8 (H, W, C), rounded half to even, once, at the end."""
    if picture.shape[:2] == (height, width):
        return picture
    resized: NDArray[np.uint8] = np.rint(resize_float(picture, height, width)).astype(np.uint8)
    return resized


def resize_mask(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """bool (height, width): the mask's value at each target pixel's centre."""
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    resized: NDArray[np.bool_] = mask[rows[:, None], columns]
    return resized


def crop(picture: NDArray[np.uint8], roi: Roi) -> NDArray[np.uint8]:
    """The part of a picture (H, W, C) within `roi`. Raises UsageError where it leaves the picture."""
    x, y, width, height = roi
    if min(x, y) < 0 or min(width, height) < 1 or x + width > picture.shape[1] or y + height > picture.shape[0]:
        raise UsageError(
            f"The region {width}x{height}+{x}+{y} leaves the picture of {picture.shape[1]}x{picture.shape[0]}",
            "Check --roi.",
        )
    return picture[y : y + height, x : x + width]


def uncrop(anomaly_map: NDArray[np.float32], frame: tuple[int, int], roi: Roi | None) -> NDArray[np.float32]:
    """The map (S, S) of a region, laid on a map of the whole frame that is 0 outside; unchanged without a region.

    frame   height and width that `roi` is told in
    """
    if roi is None:
        return anomaly_map
    x, y, width, height = roi
    down, across = anomaly_map.shape[0] / height, anomaly_map.shape[1] / width
    whole = np.zeros((round(frame[0] * down), round(frame[1] * across)), dtype=np.float32)
    top, left = min(round(y * down), whole.shape[0]), min(round(x * across), whole.shape[1])
    part = whole[top : top + anomaly_map.shape[0], left : left + anomaly_map.shape[1]]
    part[:] = anomaly_map[: part.shape[0], : part.shape[1]]
    return whole
