"""The part: a turned flange ring with a raised hub, four bolt holes and a keyway, as signed distances and heights.

Lengths are shares of the picture's side. The part's own frame (u, v) has its origin in the bore's centre,
the keyway on the +u axis and a bolt hole on each diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aand_edge.data.sample.maps import Map, polar

Points = NDArray[np.float64]
HOLES = 4
SLOPE = 0.6  # of chamfers and of the hub's step: 31° from the face


@dataclass(frozen=True)
class Part:
    """What the drawing says; `holes` and `keyway` say which features were machined.

    Holes are numbered by quadrant: 0 is (u < 0, v < 0), 1 is (u > 0, v < 0), 2 is (u < 0, v > 0), 3 is (u > 0, v > 0).
    """

    outer: float = 0.365
    bore: float = 0.118
    hub: float = 0.188
    bolt_circle: float = 0.272
    bolt: float = 0.036
    keyway_half: float = 0.026
    keyway_depth: float = 0.04
    chamfer: float = 0.008
    step: float = 0.012
    holes: tuple[bool, ...] = (True,) * HOLES
    keyway: bool = True


@dataclass(frozen=True)
class Pose:
    """Where the part lies: the offset of its centre from the picture's, its angle in radians, and its scale."""

    x: float
    y: float
    angle: float
    scale: float

    def part_frame(self, side: int) -> tuple[Map, Map]:
        """(u, v) of every pixel's centre."""
        axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
        cos, sin = float(np.cos(self.angle)) / self.scale, float(np.sin(self.angle)) / self.scale
        x, y = axis - self.x, axis[:, None] - self.y
        return x * cos + y * sin, y * cos - x * sin

    def to_picture(self, u: Points, v: Points) -> tuple[Points, Points]:
        """Where points of the part lie in the picture, in shares of its side from the upper left corner."""
        cos, sin = self.scale * float(np.cos(self.angle)), self.scale * float(np.sin(self.angle))
        return 0.5 + self.x + u * cos - v * sin, 0.5 + self.y + u * sin + v * cos


@dataclass(frozen=True)
class Surface:
    """The part as maps, before any light falls on it.

    u, v, radius, angle   the pixel in the part's frame, Cartesian and polar
    right, down           unit vector from the part's centre to the pixel, in the picture's frame
    cover                 share of the pixel that is metal, 0 … 1
    height                above the flange face, in shares of the picture's side
    polish                1 where the turning tool's marks are whole, 0 where they are torn or gone
    film                  0 … 1: how much of a stain covers the pixel
    """

    u: Map
    v: Map
    radius: Map
    angle: Map
    right: Map
    down: Map
    cover: Map
    height: Map
    polish: Map
    film: Map


def machine(part: Part, pose: Pose, side: int) -> Surface:
    """The surface of `part` lying in `pose`, on a grid of side × side pixels."""
    u, v = pose.part_frame(side)
    radius, angle = polar(u, v)
    cos, sin = float(np.cos(pose.angle)), float(np.sin(pose.angle))
    length = np.maximum(radius, np.float32(1e-6))  # a pixel may lie in the very centre
    right, down = (u * cos - v * sin) / length, (u * sin + v * cos) / length
    height = SLOPE * np.clip(part.hub - radius, 0, part.step)
    openings = (radius - part.outer, bore_depth(part, u, v, radius), bolt_depth(part, u, v))
    for opening in openings:
        height -= SLOPE * np.clip(part.chamfer + opening, 0, part.chamfer)
    height -= centre_marks(part, u, v)
    cover = np.clip(0.5 - np.maximum.reduce(openings) * (side * pose.scale), 0, 1)
    return Surface(u, v, radius, angle, right, down, cover, height, np.ones_like(u), np.zeros_like(u))


def depth_in_openings(part: Part, u: Map, v: Map) -> Map:
    """How far a point lies outside the metal; negative within it."""
    radius = np.hypot(u, v)
    depth: Map = np.maximum.reduce((radius - part.outer, bore_depth(part, u, v, radius), bolt_depth(part, u, v)))
    return depth


def bore_depth(part: Part, u: Map, v: Map, radius: Map) -> Map:
    """How far a point lies within the bore or the keyway; negative in the metal."""
    bore: Map = part.bore - radius
    if not part.keyway:
        return bore
    keyway: Map = np.minimum(part.keyway_half - np.abs(v), np.minimum(part.bore + part.keyway_depth - u, u))
    return np.maximum(bore, keyway)


def bolt_depth(part: Part, u: Map, v: Map) -> Map:
    """How far a point lies within the nearest bolt hole; negative in the metal."""
    depth: Map = part.bolt - _from_hole(part, u, v)
    return np.where(_quadrants(part.holes, u, v), depth, np.float32(-1))


def centre_marks(part: Part, u: Map, v: Map) -> Map:
    """Depth of the spot-drilled centre that a hole leaves which was never drilled."""
    if all(part.holes):
        return np.zeros_like(u)
    mark = np.clip(0.3 * part.bolt - _from_hole(part, u, v), 0, None)
    return np.where(_quadrants(part.holes, u, v), np.float32(0), mark)


def _from_hole(part: Part, u: Map, v: Map) -> Map:
    diagonal = part.bolt_circle / float(np.sqrt(2))
    return np.hypot(np.abs(u) - diagonal, np.abs(v) - diagonal)  # the four lie on the diagonals: one fold, one distance


def _quadrants(flags: tuple[bool, ...], u: Map, v: Map) -> NDArray[np.bool_]:
    return np.asarray(flags)[(u > 0).astype(np.intp) + 2 * (v > 0)]
