"""Events as the loop makes them, for the tests of sinks."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np

from aand_edge.runtime.events import Inspected, Timing
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.verdict import Region, Verdict

START = datetime(2026, 11, 24, 5, 0, 0, 123000, timezone.utc)


def inspected(
    number: int = 0,
    *,
    rejected: bool = True,
    camera: str = "cam1",
    time: datetime | None = None,
    size: tuple[int, int] = (48, 64),
) -> Inspected:
    """A judged frame of `size` (height, width), ten a second; a rejected one has a hot corner."""
    height, width = size
    picture = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    anomaly_map = np.full((16, 16), 0.1, np.float32)
    anomaly_map[:4, :4] = 0.9 if rejected else 0.1
    regions = (Region(0, 0, width // 4, height // 4, width * height / 16),) if rejected else ()
    verdict = Verdict(0.9 if rejected else 0.1, 0.5, rejected, regions)
    moment = time or START + timedelta(seconds=number / 10)
    frame = Frame(camera, number, f"{camera}/{number}", picture, 100 + number / 10, moment)
    return Inspected(frame, verdict, anomaly_map, Timing(1.0, 2.0, 10.0, 0.5, 13.5), rejected)
