"""`part-gate?line=0.5&axis=x&direction=0&min_area=0.01`: one frame a part, as its middle crosses a line."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.errors import UsageError
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.triggers.base import Missed

SIDE = 160  # pixels that motion is looked for in
DIFFERENCE = 25.0  # grey levels between a part and the belt
SLOW, SLOWER = 0.05, 0.002  # how fast the belt's picture follows where it is empty, and where something lies
FARTHEST = 0.25  # of the picture: a part moves less between two frames


@dataclass
class Track:
    """A part in the picture: where its middle was, along the axis and across it, and whether it crossed the line."""

    along: float
    across: float
    crossed: bool


class PartGate:
    """Where parts of the foreground are, against a picture of the belt that follows slow changes of light.

    line        share of the picture's width (axis x) or height (axis y)
    direction   1 towards larger values, -1 towards smaller ones, 0 both
    min_area    share of the picture: less is dirt
    """

    def __init__(self, line: float = 0.5, axis: str = "x", direction: int = 0, min_area: float = 0.01) -> None:
        if not (0 < line < 1 and axis in ("x", "y") and direction in (-1, 0, 1) and 0 < min_area < 1):
            raise UsageError(
                "part-gate needs line and min_area within 0 and 1, axis x or y, direction -1, 0 or 1", "Check trigger."
            )
        self._line, self._axis, self._direction, self._min_area = line, axis, direction, min_area
        self._belt: NDArray[np.float32] | None = None
        self._tracks: list[Track] = []

    def start(self, missed: Missed) -> None:
        """Frames are all it looks at: no part is missed."""

    def stop(self) -> None:
        """Nothing to give back."""

    def due(self, frame: Frame) -> Frame | None:
        """The frame, where a part's middle crossed the line since the one before."""
        before, self._tracks = self._tracks, []
        crossing = False
        for along, across in self._middles(frame.picture):
            near = min(before, key=lambda track: abs(track.along - along) + abs(track.across - across), default=None)
            if near is None or abs(near.along - along) > FARTHEST or abs(near.across - across) > FARTHEST:
                near = Track(along, across, crossed=False)
            else:
                before.remove(near)
            now = self._crosses(near.along, along) and not near.crossed
            crossing = crossing or now
            self._tracks.append(Track(along, across, near.crossed or now))
        return frame if crossing else None

    def _crosses(self, was: float, along: float) -> bool:
        forth, back = was < self._line <= along, along <= self._line < was
        return (forth and self._direction >= 0) or (back and self._direction <= 0)

    def _middles(self, picture: NDArray[np.uint8]) -> list[tuple[float, float]]:
        """(along, across) of each part, in shares of the picture."""
        step = max(1, max(picture.shape[:2]) // SIDE)
        grey = cv2.GaussianBlur(np.ascontiguousarray(picture[::step, ::step, 1]), (5, 5), 0).astype(np.float32)
        if self._belt is None or self._belt.shape != grey.shape:
            self._belt = grey
        there = np.abs(grey - self._belt) > DIFFERENCE
        self._belt = self._belt + np.where(there, np.float32(SLOWER), np.float32(SLOW)) * (grey - self._belt)
        count, _, facts, middles = cv2.connectedComponentsWithStats(there.astype(np.uint8), connectivity=8)
        height, width = grey.shape
        least = self._min_area * height * width
        found = [
            (float(middles[n][0]) / width, float(middles[n][1]) / height)
            for n in range(1, count)
            if facts[n, cv2.CC_STAT_AREA] >= least
        ]
        return found if self._axis == "x" else [(y, x) for x, y in found]
