"""Drift: are the parts before the camera still like those on which the engine was accepted?

Each camera's scores and brightness are compared, a window at a time, with those of the held-out good pictures by
the Mann-Whitney test: the share of pairs (part, accepted picture) in which the part's value is the higher one, ½
where nothing has changed. The test takes both samples' size into account, so that few accepted pictures make it
slow to warn and not quick to be wrong. Windows do not overlap; `false_alarms` is what each of them may cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import EngineManifest
from aand_edge.data.pictures import brightness
from aand_edge.data.resize import crop
from aand_edge.runtime.events import Compared, Event, Inspected, Noticed, Quantity, now

LEAST_ACCEPTED = 5  # pictures below which no shift, however large, could be told from chance
CALM = 2.0  # standard deviations below which a drift is over; well under the alarm's, so that it does not flutter
ADVICE: Mapping[Quantity, str] = {
    "score": "look at focus, light and the parts; if all is as wanted, train on new good pictures",
    "brightness": "look at lamp, exposure and lens",
}


@dataclass
class _Window:
    """The last values of one quantity at one camera."""

    values: list[float] = field(default_factory=list)
    drifted: bool = False


class DriftMonitor:
    """Called with every judged part; answers at the end of a window.

    manifest       gives the engine's manifest; windows begin anew where it is another than before
    window         parts that are compared at once
    false_alarms   chance that a window of unchanged parts raises an alarm, per quantity
    """

    def __init__(self, manifest: Callable[[], EngineManifest], window: int, false_alarms: float) -> None:
        self._manifest, self._window = manifest, window
        self._alarm = NormalDist().inv_cdf(1 - false_alarms / 2)
        self._known = manifest()
        self._begin(self._known)

    def __call__(self, part: Inspected, seen: NDArray[np.uint8]) -> Sequence[Event]:
        """What is to be told after a part.

        seen   uint8 (H, W, 3), the picture as the engine took it
        """
        manifest = self._manifest()
        if manifest is not self._known:  # the engine was opened afresh, or is another one
            if manifest != self._known:
                self._begin(manifest)
            self._known = manifest
        looked_at = seen if manifest.roi is None else crop(seen, manifest.roi)
        told = [*self._take(part.camera, "score", part.verdict.score)]
        told += self._take(part.camera, "brightness", brightness(looked_at))
        return told

    def _begin(self, manifest: EngineManifest) -> None:
        accepted: dict[Quantity, list[float]] = {
            "score": manifest.acceptance.scores,
            "brightness": manifest.acceptance.brightness,
        }
        self._accepted = {name: np.sort(values) for name, values in accepted.items() if len(values) >= LEAST_ACCEPTED}
        self._windows: dict[tuple[str, Quantity], _Window] = {}

    def _take(self, camera: str, quantity: Quantity, value: float) -> Iterator[Event]:
        if quantity not in self._accepted:
            return
        window = self._windows.setdefault((camera, quantity), _Window())
        window.values.append(value)
        if len(window.values) < self._window:
            return
        share, deviations = mann_whitney(window.values, self._accepted[quantity])
        window.values.clear()
        before, window.drifted = window.drifted, abs(deviations) > (CALM if window.drifted else self._alarm)
        yield Compared(camera, quantity, self._window, share, deviations, window.drifted, now())
        if window.drifted and not before:
            yield Noticed("warning", _warning(camera, quantity, share, self._window), now())
        elif before and not window.drifted:
            yield Noticed("info", f"The {quantity} at {camera} is again as at acceptance.", now())


def mann_whitney(values: Sequence[float], accepted: NDArray[np.floating]) -> tuple[float, float]:
    """Share of pairs in which a value exceeds an accepted one, ties by half, and its distance from ½ in standard
    deviations (normal approximation, corrected for ties; Mann and Whitney 1947).

    accepted   sorted
    """
    below = np.searchsorted(accepted, values, side="left")
    not_above = np.searchsorted(accepted, values, side="right")
    few, many = len(accepted), len(values)
    share = float((below + not_above).sum() / (2 * few * many))
    everything = few + many
    ties = np.unique(np.concatenate((accepted, values)), return_counts=True)[1].astype(np.float64)
    spread = (everything + 1 - (ties**3 - ties).sum() / (everything * (everything - 1))) / (12 * few * many)
    return share, (share - 0.5) / math.sqrt(spread) if spread > 0 else 0.0


def _warning(camera: str, quantity: Quantity, share: float, parts: int) -> str:
    direction, portion = ("above", share) if share > 0.5 else ("below", 1 - share)
    return (
        f"The {quantity} at {camera} has drifted since the engine was accepted: over the last {parts} parts it lies "
        f"{direction} the accepted pictures' in {portion:.0%} of all pairs, where 50% would be no change. "
        f"Next: {ADVICE[quantity]}."
    )
