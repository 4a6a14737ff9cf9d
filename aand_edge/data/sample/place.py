"""Where on the part a defect lies, and its outline there."""

from __future__ import annotations

import numpy as np

from aand_edge.data.sample.maps import Map, polar
from aand_edge.data.sample.part import Part, Surface, depth_in_openings

WAVES = 6  # harmonics of an irregular outline
TABLE = 512  # directions at which an outline is tabulated

Point = tuple[float, float]  # in the part's frame


def on_face(rng: np.random.Generator, part: Part, clearance: float) -> Point:
    """A point in the metal, evenly over its area, at least `clearance` from every edge."""
    while True:
        u, v = rng.uniform(-part.outer, part.outer, 2).astype(np.float32)
        if float(depth_in_openings(part, u, v)) < -clearance:
            return float(u), float(v)


def on_edge(rng: np.random.Generator, part: Part) -> Point:
    """A point on the rim (two in three) or on the bore, away from the keyway."""
    if rng.random() < 2 / 3:
        radius, angle = part.outer, rng.uniform(-np.pi, np.pi)
    else:
        radius, angle = part.bore, rng.uniform(0.6, 2 * np.pi - 0.6)
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))


def around(surface: Surface, u: float, v: float) -> tuple[Map, Map]:
    """Distance and direction (0 … 2π) of every pixel from a point of the part."""
    return polar(surface.u - np.float32(u), surface.v - np.float32(v))


def blob(rng: np.random.Generator, surface: Surface, centre: Point, radius: float, roughness: float) -> Map:
    """Distance from `centre` over the distance of an irregular outline: below 1 inside, 1 on it."""
    distance, direction = around(surface, *centre)
    outline = radius * _wobble(rng, roughness)
    reach: Map = outline[(direction * (TABLE / (2 * np.pi))).astype(np.intp) % TABLE]
    return distance / reach


def _wobble(rng: np.random.Generator, roughness: float) -> Map:
    """(TABLE,): 1 plus harmonics that fall off as 1/k, at least 0.3."""
    order = np.arange(1, WAVES + 1)[:, None]
    directions = np.arange(TABLE) * (2 * np.pi / TABLE)
    phase = rng.uniform(0, 2 * np.pi, (WAVES, 1))
    waves = (rng.standard_normal((WAVES, 1)) / order * np.cos(order * directions + phase)).sum(axis=0)
    return np.asarray(np.clip(1 + roughness * waves, 0.3, None), dtype=np.float32)
