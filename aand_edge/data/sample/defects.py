"""What goes wrong with a part, each as a change of its surface.

A defect takes the generator, the scene's part and pose, and the faultless surface; it returns the faulty one.
Where it lies, how large and how deep it is, the generator says. Lengths are shares of the picture's side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from aand_edge.data.sample.maps import Map, blur, noise
from aand_edge.data.sample.part import HOLES, Part, Pose, Surface, machine
from aand_edge.data.sample.place import around, blob, on_edge, on_face

Defect = Callable[[np.random.Generator, Part, Pose, Surface], Surface]


def scratch(rng: np.random.Generator, part: Part, pose: Pose, surface: Surface) -> Surface:
    """A furrow along a shallow arc, deepest in the middle, with a burr on either side."""
    width = float(rng.uniform(0.0026, 0.0040))
    stroke = _stroke(rng, on_face(rng, part, clearance=0.012), pose, surface.u.shape[0], width)
    furrow = width * float(rng.uniform(0.5, 0.9)) * stroke
    burr = 0.35 * width * blur(stroke, 1.6 * width * surface.u.shape[0])
    return replace(surface, height=surface.height - furrow + burr, polish=surface.polish * (1 - 0.8 * stroke))


def _stroke(rng: np.random.Generator, start: tuple[float, float], pose: Pose, side: int, width: float) -> Map:
    """0 … 1: an antialiased arc from `start` that fades out towards its ends."""
    length, bend, heading = rng.uniform(0.09, 0.22), rng.uniform(-1.2, 1.2), rng.uniform(0, 2 * np.pi)
    steps = np.linspace(-0.5, 0.5, 24)
    u = start[0] + length * steps * np.cos(heading + bend * steps)
    v = start[1] + length * steps * np.sin(heading + bend * steps)
    points = np.stack(pose.to_picture(u, v), axis=1) * side - 0.5
    stroke = np.zeros((side, side), dtype=np.float32)
    for first, second, step in zip(points[:-1], points[1:], steps[:-1], strict=True):
        strength = float(np.clip(2.5 * (1 - abs(2 * step)), 0.1, 1))
        ends = np.rint(np.stack((first, second)) * 16).astype(np.int32)
        cv2.polylines(stroke, [ends], False, strength, max(1, round(width * side)), cv2.LINE_8, shift=4)
    return blur(stroke, 0.6)


def dent(rng: np.random.Generator, part: Part, pose: Pose, surface: Surface) -> Surface:
    """A blow's hollow with a raised rim; the tool marks go on through it."""
    radius = float(rng.uniform(0.016, 0.028))
    distance, _ = around(surface, *on_face(rng, part, clearance=0.6 * radius))
    square = (distance / radius) ** 2
    depth = radius * float(rng.uniform(0.22, 0.34))
    hollow = depth * (np.exp(-1.6 * square) - 0.35 * np.exp(-1.2 * (np.sqrt(square) - 1.5) ** 2 / 0.2))
    return replace(surface, height=surface.height - hollow)


def chip(rng: np.random.Generator, part: Part, pose: Pose, surface: Surface) -> Surface:
    """A piece broken out of an edge: metal gone at the rim, and a rough slope up to the face."""
    radius = float(rng.uniform(0.018, 0.034))
    inside = 1 - blob(rng, surface, on_edge(rng, part), radius, roughness=0.18)  # 1 in the middle, 0 at the outline
    broken = np.clip(inside, 0, 1)
    gone = np.clip((inside - 0.55) * (radius * surface.u.shape[0]) + 0.5, 0, 1)
    grain = blur(noise(rng, *inside.shape), inside.shape[0] / 256)
    height = surface.height - 0.8 * radius * broken + 0.006 * grain * (broken > 0)
    return replace(
        surface,
        cover=surface.cover * (1 - gone),
        height=height,
        polish=surface.polish * (1 - np.clip(8 * broken, 0, 1)),
    )


def stain(rng: np.random.Generator, part: Part, pose: Pose, surface: Surface) -> Surface:
    """A film of dried oil, darkest along its rim."""
    radius, strength = float(rng.uniform(0.03, 0.065)), float(rng.uniform(0.35, 0.65))
    outline = blob(rng, surface, on_face(rng, part, clearance=0.01), radius, roughness=0.30)
    filled = np.clip((1 - outline) * 5, 0, 1)
    rim = np.exp(-((outline - 0.88) ** 2) / 0.012)
    return replace(surface, film=strength * (0.7 * filled + 0.3 * rim), polish=surface.polish * (1 - 0.4 * filled))


def missing_feature(rng: np.random.Generator, part: Part, pose: Pose, surface: Surface) -> Surface:
    """A bolt hole that was centred and never drilled, or a keyway that was not broached."""
    which = int(rng.integers(HOLES + 1))
    holes = tuple(number != which for number in range(HOLES))
    return machine(replace(part, holes=holes, keyway=which != HOLES), pose, surface.u.shape[0])


DEFECTS: dict[str, Defect] = {
    "chip": chip,
    "dent": dent,
    "missing_feature": missing_feature,
    "scratch": scratch,
    "stain": stain,
}
