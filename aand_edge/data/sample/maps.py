"""Maps: one value a pixel. OpenCV's calls on them, typed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]  # float32 (side, side)


def polar(x: Map, y: Map) -> tuple[Map, Map]:
    """Distance from the origin, and direction from 0 to 2π."""
    distance, direction = cv2.cartToPolar(x, y)
    return np.asarray(distance, dtype=np.float32), np.asarray(direction, dtype=np.float32)


def blur(values: Map, sigma: float) -> Map:
    """Gaussian blur, σ in pixels; each channel by itself."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)


def standardised(values: Map) -> Map:
    """Over their standard deviation, so that the variance is 1."""
    return np.asarray(values / values.std(), dtype=np.float32)


def enlarge(values: Map, side: int) -> Map:
    """Bilinear, to (side, side)."""
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def shrink(values: Map, side: int) -> Map:
    """Averaged over areas, to (side, side)."""
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def moved(values: Map, scale: float, x: float, y: float) -> Map:
    """Scaled about the upper left corner, then shifted by (x, y) pixels; 0 where nothing came from."""
    matrix = np.array([[scale, 0, x], [0, scale, y]], dtype=np.float32)
    return np.asarray(cv2.warpAffine(values, matrix, (values.shape[1], values.shape[0])), dtype=np.float32)


def noise(rng: np.random.Generator, *shape: int) -> Map:
    """Standard normal, independent from pixel to pixel."""
    return rng.standard_normal(shape, dtype=np.float32)
