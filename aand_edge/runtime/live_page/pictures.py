"""Pictures for a browser: made smaller, with heat, as JPEG."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.runtime.events import Inspected, stamp
from aand_edge.runtime.frame import Picture
from aand_edge.runtime.verdict import overlay

LARGE, SMALL = 960, 240  # the longer side in pixels: of a camera's picture, and of a rejected part's in the row
JPEG_QUALITY = 82


@dataclass
class Reject:
    """A rejected part, as it is kept: small enough that the last few of them are no burden.

    id      counts from 0 over all cameras
    small   drawn when somebody watches; None before
    """

    part: dict[str, Any]
    picture: Picture
    anomaly_map: NDArray[np.float32]
    threshold: float
    id: int = -1
    small: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, event: Inspected) -> Reject:
        """Keeps the map, and no more of the picture than is shown."""
        picture = smaller(event.frame.picture, LARGE)
        return cls(describe(event), picture, event.anomaly_map, event.verdict.threshold)

    def draw(self, side: int) -> bytes:
        """With heat, as JPEG."""
        return jpeg(overlay(smaller(self.picture, side), self.anomaly_map, self.threshold))


def describe(event: Inspected) -> dict[str, Any]:
    """What is said beside a part's picture."""
    verdict = event.verdict
    return {
        "camera": event.camera,
        "number": event.number,
        "name": event.frame.name,
        "time": stamp(event.frame.time),
        "score": verdict.score,
        "threshold": verdict.threshold,
        "rejected": event.rejected,
        "late": event.late,
        "regions": len(verdict.regions),
    }


def draw_live(event: Inspected) -> bytes:
    """A camera's picture with heat, as JPEG."""
    return jpeg(overlay(smaller(event.frame.picture, LARGE), event.anomaly_map, event.verdict.threshold))


def smaller(picture: Picture, side: int) -> Picture:
    """A picture whose longer side is at most `side`; the same one where it is."""
    height, width = picture.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def jpeg(picture: Picture) -> bytes:
    """A BGR picture as a JPEG file."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
