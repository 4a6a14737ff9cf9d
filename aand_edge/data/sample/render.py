"""A picture of a part with or without a defect, and the mask of what the defect changed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.data.sample.defects import DEFECTS
from aand_edge.data.sample.scene import draw_scene, expose
from aand_edge.errors import UsageError

VISIBLE = 12  # grey levels: a pixel belongs to the defect where any channel changed by more
SMALLEST = 1 / 2700  # of the picture's area: a defect that shows less (24 pixels of 256²) is drawn again
CLOSING = 1 / 64  # of the picture's side: gaps of a mask below this are closed

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def render_part(rng: np.random.Generator, size: int, defect: str | None = None) -> tuple[Picture, Mask]:
    """uint8 (size, size, 3), RGB, and bool (size, size): one part, and where it is faulty.

    The mask is where the picture differs by more than `VISIBLE` grey levels from that of the same part, in the same
    light and with the same sensor noise, without the defect; then small gaps are closed and specks removed.
    Raises UsageError for a defect that is none of `DEFECTS`, or a size that cannot show the part.
    """
    if defect is not None and defect not in DEFECTS:
        raise UsageError(f"There is no defect '{defect}'", f"Choose one of: {', '.join(DEFECTS)}.")
    scene = draw_scene(rng, size)
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    surface = scene.surface()
    good = expose(scene, surface, noise)
    mask: Mask = np.zeros((size, size), dtype=bool)
    if defect is None:
        return good, mask
    while mask.mean() < SMALLEST:
        faulty = expose(scene, DEFECTS[defect](rng, scene.part, scene.pose, surface), noise)
        mask = changed(good, faulty)
    return faulty, mask


def changed(good: Picture, faulty: Picture) -> Mask:
    """bool (size, size): the pixels that differ visibly, in pieces without small gaps."""
    size = good.shape[0]
    visible = (cv2.absdiff(good, faulty).max(axis=2) > VISIBLE).astype(np.uint8)
    reach = 2 * max(1, round(size * CLOSING / 2)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    whole = cv2.morphologyEx(visible, cv2.MORPH_CLOSE, kernel)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
    kept = facts[:, cv2.CC_STAT_AREA] >= size * size * SMALLEST / 4
    kept[0] = False  # the background
    mask: Mask = kept[labels]
    return mask
