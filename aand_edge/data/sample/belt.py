"""The conveyor belt below the part: a periodic woven texture that scrolls as the belt travels."""

from __future__ import annotations

import numpy as np

from aand_edge.data.sample.maps import Map, blur, enlarge, noise, standardised

WEAVE = 56  # threads along a picture's side
COARSE = 8  # the blotches of wear are drawn on a grid this many times coarser


def weave(rng: np.random.Generator, side: int) -> Map:
    """Relative brightness of the belt, (side, side), about 1 and periodic in both directions."""
    phase = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(2 * np.pi * WEAVE / side)
    warp, weft = np.sin(phase), np.sin(phase[:, None])
    threads: Map = 0.07 * warp * weft + 0.03 * np.abs(weft)
    grain = _periodic_noise(rng, side, 1.2)
    blotches = enlarge(_periodic_noise(rng, side // COARSE, 3.0), side)
    belt: Map = 1 + threads + 0.07 * grain + 0.06 * blotches
    return belt


def travelled(belt: Map, travel: float) -> Map:
    """The belt after it moved on by `travel` sides of the picture, downwards."""
    return np.roll(belt, round(travel * belt.shape[0]), axis=0)


def _periodic_noise(rng: np.random.Generator, side: int, sigma: float) -> Map:
    """Smooth noise of variance 1 that continues across its borders."""
    margin = int(4 * sigma) + 1
    rough = np.pad(noise(rng, side, side), margin, mode="wrap")
    return standardised(blur(rough, sigma)[margin:-margin, margin:-margin])
