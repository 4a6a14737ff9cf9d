"""A scene: one part in its pose, the light on it and the belt under it, and the picture a camera takes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.data.resize import resize
from aand_edge.data.sample.belt import travelled, weave
from aand_edge.data.sample.light import Finish, Light, shade, turn
from aand_edge.data.sample.maps import Map, blur, enlarge, moved, shrink
from aand_edge.data.sample.part import Part, Pose, Surface, machine
from aand_edge.errors import UsageError

OVERSAMPLING = 2
SMALLEST = 64  # pixels a side: below, bolt holes are a pixel or two
SHADOW_REACH, SHADOW_BLUR, SHADOW_COARSE = 0.012, 0.014, 4  # sides, sides, and how much coarser it is computed
THICKNESS, WALL = 0.035, 62.0  # of the part over the camera's distance; grey level of a drilled wall
STAIN = (0.50, 0.40, 0.27)  # what a full film leaves of red, green and blue: oil burnt brown
READ_NOISE, SHOT_NOISE = 1.1, 0.022  # grey levels², and grey levels² a grey level


@dataclass(frozen=True)
class Camera:
    """Defocus (σ, shares of the side), vignetting (share lost in the corners) and white balance of metal and belt."""

    defocus: float
    vignetting: float
    metal: tuple[float, float, float]
    belt: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """All that a picture of one part depends on, but for its defect and the sensor's noise.

    belt    relative brightness, (2·size, 2·size); `travel` is how far it has moved, in sides of the picture
    """

    part: Part
    pose: Pose
    light: Light
    finish: Finish
    camera: Camera
    belt: Map
    belt_grey: float
    travel: float = 0.0

    @property
    def side(self) -> int:
        """Of the oversampled grid, in pixels."""
        return int(self.belt.shape[0])

    def surface(self) -> Surface:
        """The part without a defect."""
        return machine(self.part, self.pose, self.side)

    def moved(self, x: float, y: float, travel: float) -> Scene:
        """The same part elsewhere in the picture, the belt having travelled on."""
        return replace(self, pose=replace(self.pose, x=x, y=y), travel=travel)


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """A part as the line brings it: within ±20° and ±3 % of the picture's side, in light that varies."""
    if size < SMALLEST:
        raise UsageError(f"A picture of {size} pixels is too small to show the part", f"Ask for at least {SMALLEST}.")
    part, side = Part(), OVERSAMPLING * size
    x, y = rng.uniform(-0.03, 0.03, 2)
    pose = Pose(float(x), float(y), float(rng.uniform(-0.35, 0.35)), float(rng.uniform(0.97, 1.03)))
    light = Light(float(rng.uniform(-2.7, -1.9)), float(rng.uniform(0.30, 0.38)), float(rng.uniform(0.88, 1.08)))
    finish = turn(rng, reach=1.05 * part.outer, rows=side // 2)
    warmth = float(rng.uniform(-0.015, 0.015))
    camera = Camera(
        defocus=float(rng.uniform(0.0018, 0.0028)),
        vignetting=float(rng.uniform(0.15, 0.25)),
        metal=(0.985 + warmth, 1.0, 1.005 - warmth),
        belt=(0.93 + warmth, 1.0, 1.02 - warmth),
    )
    return Scene(part, pose, light, finish, camera, weave(rng, side), float(rng.uniform(42, 56)))


def expose(scene: Scene, surface: Surface, noise: Map | None = None) -> NDArray[np.uint8]:
    """uint8 (size, size, 3), RGB: the camera's picture of `surface` in `scene`.

    noise: standard normal (size, size, 3), scaled here to the sensor's; without it the picture is clean.
    """
    lens = _vignette(scene.side, scene.camera.vignetting)
    metal = shade(surface, scene.light, scene.finish) * surface.cover * lens
    ground = _ground(scene, surface) * (1 - surface.cover) * lens
    picture = np.empty((*metal.shape, 3), dtype=np.float32)
    for channel in range(3):
        white, tint = scene.camera.metal[channel], scene.camera.belt[channel]
        picture[..., channel] = metal * (white - white * (1 - STAIN[channel]) * surface.film) + ground * tint
    return _sensor(scene, picture, noise)


def _ground(scene: Scene, surface: Surface) -> Map:
    """Grey levels of what is not the part's upper side: the belt, and the openings' walls that the camera sees."""
    near = 1 - THICKNESS  # the lower side is farther from the camera, so it is smaller about the optical axis
    centring = THICKNESS / 2 * scene.side
    lower = moved(surface.cover, near, centring, centring)
    belt = travelled(scene.belt, scene.travel) * _shadow(scene, surface) * scene.belt_grey
    ground: Map = (belt + (WALL - belt) * lower) * scene.light.strength
    return ground


def _shadow(scene: Scene, surface: Surface) -> Map:
    """0 … 1: the light that reaches the belt beside and below the part."""
    side, coarse = scene.side, scene.side // SHADOW_COARSE
    x, y, _ = scene.light.half_vector()
    reach = SHADOW_REACH / scene.light.lean * coarse
    small = shrink(surface.cover, coarse)
    cast = blur(moved(small, 1.0, -x * reach, -y * reach), SHADOW_BLUR * coarse)
    contact = blur(small, SHADOW_BLUR * coarse / 2)
    return enlarge(1 - 0.55 * cast - 0.30 * contact, side)


def _sensor(scene: Scene, picture: Map, noise: Map | None) -> NDArray[np.uint8]:
    """Lens, shrinking to the sensor's pixels, noise, and whole grey levels."""
    side, size = scene.side, scene.side // OVERSAMPLING
    focal_plane = cv2.convertScaleAbs(picture)  # whole grey levels, not beyond 255; the noise hides the rounding
    blurred = cv2.GaussianBlur(focal_plane, (0, 0), scene.camera.defocus * side)
    clean = resize(np.asarray(blurred, dtype=np.uint8), size, size)
    if noise is None:
        return clean
    grainy: Map = clean + noise * np.sqrt(READ_NOISE + SHOT_NOISE * clean.astype(np.float32))
    return np.asarray(cv2.convertScaleAbs(np.maximum(grainy, 0)), dtype=np.uint8)


def _vignette(side: int, loss: float) -> Map:
    square = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) ** 2
    return 1 - np.float32(2 * loss) * (square + square[:, None])
