"""Frames and events for tests of the runtime."""

from __future__ import annotations

from datetime import datetime, timezone

from aand_edge.runtime.frame import Frame
from tests.graphs import SIZE, tiny_frames

TIME = datetime(2026, 1, 2, 3, 4, 5, 6000, timezone.utc)


def frame(number: int, side: int = SIZE, camera: str = "a", captured: float | None = None) -> Frame:
    """A dark frame with a bright spot, another for each number up to 8."""
    picture = tiny_frames(number % 8 + 1, side)[number % 8]
    return Frame(camera, number, f"{number}.png", picture, float(number) if captured is None else captured, TIME)
