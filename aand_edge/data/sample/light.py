"""Light on turned metal and on the belt below it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aand_edge.data.sample.maps import Map, noise, standardised
from aand_edge.data.sample.part import Surface

CROSS = 0.42  # spread of the highlight across the tool marks, as a slope; along them it is Finish.spread
AMBIENT, HIGHLIGHT, FILL = 78.0, 150.0, 55.0  # grey levels: the hall's light, the lamp's and its reflector's
FILL_TURN, FILL_SPREAD = 1.9, 1.7  # the reflector stands 110° further round and is broader
ANGLES = 256  # columns of the tool marks
TORN = 0.55  # torn metal scatters: share of the highlight that it throws in every direction


@dataclass(frozen=True)
class Light:
    """One lamp beside the camera: azimuth in radians, the half vector's lean from upright, and its strength."""

    azimuth: float
    lean: float
    strength: float

    def half_vector(self, turn: float = 0.0) -> tuple[float, float, float]:
        """Unit vector half-way between lamp and camera; `turn` radians further round for a second lamp."""
        azimuth = self.azimuth + turn
        x, y = self.lean * float(np.cos(azimuth)), self.lean * float(np.sin(azimuth))
        return x, y, float(np.sqrt(1 - self.lean**2))


@dataclass(frozen=True)
class Finish:
    """What the tool left on one part.

    grooves   (radii, angles), mean 0: brightness of the tool marks in polar coordinates
    reach     the radius of the last row, in shares of the picture's side
    spread    of the highlight along the marks, as a slope: the smaller, the sharper the bright cones
    """

    grooves: Map
    reach: float
    spread: float


def shade(surface: Surface, light: Light, finish: Finish) -> Map:
    """Grey levels of the metal: ambient light plus anisotropic highlights (Ward 1992, in slopes).

    A highlight is bright where the half vector is normal to the tool marks, which on a turned face gives the
    two opposed cones, and on a chamfer the crescent that faces the lamp.
    """
    along, across = _slopes(surface)
    lamp = _highlight(surface, along, across, light.half_vector(), finish.spread)
    fill = _highlight(surface, along, across, light.half_vector(FILL_TURN), FILL_SPREAD * finish.spread)
    marks = 1 + surface.polish * _tool_marks(surface, finish)
    facing = 1 / np.sqrt(1 + along * along + across * across)  # steep faces see less of the hall
    grey: Map = light.strength * (AMBIENT * facing + HIGHLIGHT * lamp + FILL * fill) * marks
    return grey


def _slopes(surface: Surface) -> tuple[Map, Map]:
    """Slope of the height along the tool marks and across them (outwards)."""
    gain = surface.height.shape[0] / 8
    dx = cv2.Sobel(surface.height, cv2.CV_32F, 1, 0, ksize=3, scale=gain)
    dy = cv2.Sobel(surface.height, cv2.CV_32F, 0, 1, ksize=3, scale=gain)
    return dy * surface.right - dx * surface.down, dx * surface.right + dy * surface.down


def _highlight(surface: Surface, along: Map, across: Map, half: tuple[float, float, float], spread: float) -> Map:
    """0 … 1: how closely the facets lean towards the half vector, each axis in units of its spread."""
    x, y, z = half
    off_along = (along + (y / z) * surface.right - (x / z) * surface.down) / spread
    off_across = (across + (x / z) * surface.right + (y / z) * surface.down) / CROSS
    broad = np.exp(-0.5 * off_across * off_across)
    sharp = np.exp(-0.5 * off_along * off_along)
    highlight: Map = broad * (TORN + (sharp - TORN) * surface.polish)
    return highlight


def _tool_marks(surface: Surface, finish: Finish) -> Map:
    rows, columns = finish.grooves.shape
    marks = cv2.remap(
        finish.grooves,
        surface.angle * np.float32(columns / (2 * np.pi)),
        surface.radius * np.float32(rows / finish.reach),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(marks, dtype=np.float32)


def turn(rng: np.random.Generator, reach: float, rows: int) -> Finish:
    """The marks of one turning pass: feed lines of a fixed pitch, over streaks that fade along the cut."""
    streaks = _smooth_around(noise(rng, rows, ANGLES), 24)
    rings = noise(rng, rows, 1)
    pitch = float(rng.uniform(5, 8))
    feed = np.sin(np.arange(rows, dtype=np.float32)[:, None] * np.float32(2 * np.pi / pitch))
    grooves = np.float32(0.06) * streaks + np.float32(0.05) * rings + np.float32(0.03) * feed
    return Finish(grooves.astype(np.float32), reach, float(rng.uniform(0.13, 0.19)))


def _smooth_around(rough: Map, sigma: float) -> Map:
    """Blurred along the columns' circle, back to variance 1."""
    width = rough.shape[1]
    wrapped = np.concatenate((rough, rough, rough), axis=1)
    smooth = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=sigma, sigmaY=0.01)[:, width : 2 * width]
    return standardised(np.asarray(smooth, dtype=np.float32))
