"""From an engine's raw answer to what is said of a part: pass or reject, and where the defect is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import Threshold
from aand_edge.engines.base import Outputs
from aand_edge.errors import AandEdgeError

HEAT = cv2.COLORMAP_INFERNO
ONSET = 0.6  # share of the threshold at which heat begins to show: a good part looks clean
OPACITY = 0.65


@dataclass(frozen=True)
class Region:
    """A defect's bounding box and area, in pixels of the camera's frame."""

    x: int
    y: int
    width: int
    height: int
    area: float


@dataclass(frozen=True)
class Verdict:
    """What is said of one frame; regions are ordered by area, the largest first."""

    score: float
    threshold: float
    rejected: bool
    regions: tuple[Region, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def judge(
    outputs: Outputs, threshold: Threshold, frame: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> list[Verdict]:
    """A verdict for each picture of a batch.

    frame    height and width of the picture, in the camera's pixels, which regions are told in
    origin   x, y of the picture's corner, where the camera's frame was cropped

    Raises AandEdgeError where a score or a map is not finite: such a part must not pass.
    """
    # Engines skip NaN when they take a map's maximum, so a finite score says nothing of the map.
    if not (np.isfinite(outputs.score).all() and np.isfinite(outputs.anomaly_map).all()):
        raise AandEdgeError("The engine answered with numbers that are not finite", "Build it with --precision fp32.")
    rejected = threshold.rejects(outputs.score)
    return [
        Verdict(
            float(score),
            threshold.value,
            bool(reject),
            defect_regions(anomaly_map, threshold.value, frame, origin) if reject else (),
        )
        for anomaly_map, score, reject in zip(outputs.anomaly_map, outputs.score, rejected, strict=True)
    ]


def defect_regions(
    anomaly_map: NDArray[np.float32], threshold: float, frame: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> tuple[Region, ...]:
    """8-connected regions of a map (H', W') of the whole frame above the threshold, each in whole pixels around it.

    The score is the map's maximum, so the picture's threshold is the map's: a rejected part has at least one region.
    """
    above = (anomaly_map > threshold).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    cell = frame[0] * frame[1] / anomaly_map.size
    regions = []
    for left, top, width, height, area in stats[1:count].tolist():
        x, right = _scaled(left, left + width, anomaly_map.shape[1], frame[1])
        y, bottom = _scaled(top, top + height, anomaly_map.shape[0], frame[0])
        regions.append(Region(x + origin[0], y + origin[1], right - x, bottom - y, area * cell))
    return tuple(sorted(regions, key=lambda region: -region.area))


def _scaled(start: int, end: int, side: int, target: int) -> tuple[int, int]:
    """An interval of `side` in pixels of `target`, start rounded down and end rounded up, exactly."""
    return start * target // side, -(-end * target // side)


def overlay(picture: NDArray[np.uint8], anomaly_map: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """A picture (H, W, 3), BGR, with heat where the map nears the threshold, and the regions above it outlined."""
    height, width = picture.shape[:2]
    heat = cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)
    blended: NDArray[np.uint8] = picture.copy()
    x, y, wide, high = cv2.boundingRect((heat > ONSET * max(threshold, 1e-9)).astype(np.uint8))
    if wide:  # a good part has little heat, and the rest of its picture stays as it is
        hot = np.s_[y : y + high, x : x + wide]
        blended[hot] = _blend(picture[hot], heat[hot], threshold)
    outlines, _ = cv2.findContours((heat > threshold).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(blended, outlines, -1, (80, 220, 80), max(1, height // 256))
    return blended


def _blend(picture: NDArray[np.uint8], heat: NDArray[Any], threshold: float) -> NDArray[np.uint8]:
    share = np.clip((heat / max(threshold, 1e-9) - ONSET) / (2 - ONSET), 0, 1)
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), HEAT)
    opacity = (OPACITY * np.clip(4 * share, 0, 1))[:, :, None]
    blended: NDArray[np.uint8] = (picture * (1 - opacity) + colours * opacity).astype(np.uint8)
    return blended
