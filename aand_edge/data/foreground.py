"""Where the object is, without a rule typed by hand for each category: Otsu's threshold on the smoothed picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SMOOTHING = 1 / 64  # of the picture's shorter side: σ of the Gaussian before the threshold
MARGIN = 1 / 64  # of the shorter side: the object's edge belongs to the object
# Share of the grey-level variance that two classes must explain, or there is no object: cutting Gaussian noise in two
# explains 2 / π = 0.64 of it, an evenly lit object on its background 0.8 and more.
SEPARATION = 0.7
BORDER = 0.8  # share of the border that must lie on the background's side: a gradient and a texture have about half
SMALLEST, LARGEST = 0.02, 0.98  # share of the picture that an object covers


def foreground(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool (H, W), true on the object of an RGB picture (H, W, 3); all true where no object stands out.

    The border of the picture decides which side of the threshold is background.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    side = min(grey.shape)
    smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), max(1.0, side * SMOOTHING)), dtype=np.uint8)
    _, bright = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    everything = np.ones(grey.shape, dtype=bool)
    border = float(np.concatenate((bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1])).mean())
    if _explained(smooth, bright > 0) < SEPARATION or max(border, 1 - border) < BORDER:
        return everything
    object_ = (1 - bright if border > 0.5 else bright).astype(np.uint8)
    reach = 2 * max(1, round(side * MARGIN)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    cleaned = cv2.dilate(cv2.morphologyEx(object_, cv2.MORPH_OPEN, kernel), kernel) > 0
    return cleaned if SMALLEST <= cleaned.mean() <= LARGEST else everything


def _explained(grey: NDArray[np.uint8], bright: NDArray[np.bool_]) -> float:
    """Otsu's measure: between-class variance over total variance, 0 … 1."""
    total, share = float(grey.var()), float(bright.mean())
    if total == 0 or share in (0.0, 1.0):
        return 0.0
    difference = float(grey[bright].mean()) - float(grey[~bright].mean())
    return share * (1 - share) * difference**2 / total
