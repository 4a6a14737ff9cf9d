"""Where the belt is: a clock and a speed, or an encoder's pulses. Places are millimetres of travel since the start."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from aand_edge.runtime.encoders.base import Encoder
from aand_edge.runtime.events import Noticed, now
from aand_edge.runtime.stopping import Deadline

REMEMBERED = 16_384  # samples: verdicts come while those of the capture are still known
SPEED_S, SPEED_SAMPLES = 0.2, 8  # how far back the speed is measured, at most

Sample = tuple[float, float]  # moment on the monotonic clock, place


class Belt(Protocol):
    """What the conveyor asks of a belt. `due` counts in how long the actuator takes."""

    def start(self, moved: Callable[[], None]) -> None:
        """`moved` is called when `due` may answer otherwise than before. Raises UsageError where it cannot be read."""

    def stop(self, end: Deadline) -> None: ...

    def at(self, moment: float) -> float | None:
        """The place at a moment, monotonic seconds; None where nobody knows."""

    def due(self, place: float) -> float | None:
        """When the gate is to be told, so that it has moved when the belt is there; None: the belt is not near yet.

        Of a place that the belt has passed, when that was.
        """


class SteadyBelt:
    """One that never stops: `speed` in mm/s."""

    def __init__(self, speed: float, lead_s: float = 0.0) -> None:
        self._speed, self._lead = speed, lead_s

    def start(self, moved: Callable[[], None]) -> None:
        """It moves by the clock."""

    def stop(self, end: Deadline) -> None:
        """It never does."""

    def at(self, moment: float) -> float | None:
        return moment * self._speed

    def due(self, place: float) -> float | None:
        return place / self._speed - self._lead


class CountedBelt:
    """One that stops and changes its speed, by an encoder's pulses; a place is known to within a pulse.

    Between two pulses the belt is taken to go on at its last speed, but no further than it came with the last ones:
    a belt that stands brings no part to the gate.
    """

    def __init__(
        self, encoder: Encoder, mm_per_pulse: float, tell: Callable[[Noticed], None], lead_s: float = 0.0
    ) -> None:
        self._encoder, self._pulse, self._tell, self._lead = encoder, mm_per_pulse, tell, lead_s
        self._samples: deque[Sample] = deque(maxlen=REMEMBERED)
        self._counting = threading.Lock()
        self._known = self._away = False  # until the encoder counts, nobody knows where a part is
        self._moving_since = self._speed = self._reach = 0.0

    def start(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self._samples.append((time.monotonic(), 0.0))
        self._encoder.start(self)

    def stop(self, end: Deadline) -> None:
        self._encoder.stop(end)

    def counted(self, moment: float, pulses: int) -> None:
        """From the encoder's thread, as `encoders.base.Pulses` says."""
        with self._counting:
            first, self._known = not self._known, True
            back, self._away = self._away, False
            if first:
                last = self._samples[-1][1]
                self._samples.clear()
                self._samples.append((moment, last))
            elif pulses:
                self._went(moment, pulses * self._pulse)
            else:
                self._stood(moment)
        if back:
            self._tell(Noticed("info", f"The encoder {self._encoder.name} is back", now()))
        if first or pulses:
            self._moved()

    def lost(self, reason: str) -> None:
        """From the encoder's thread: parts on the belt may be anywhere."""
        with self._counting:
            self._known, self._away, self._speed = False, True, 0.0
        text = f"The encoder {self._encoder.name} is away ({reason}): parts on the belt are not pushed off"
        self._tell(Noticed("error", text, now()))
        self._moved()

    def at(self, moment: float) -> float | None:
        with self._counting:
            if not self._known:
                return None
            later = self._samples[-1]
            if moment >= later[0]:
                return later[1] + min(self._speed * (moment - self._moving_since), self._reach)
            for earlier in reversed(self._samples):
                if earlier[0] <= moment:
                    return earlier[1] + _share(moment, earlier[0], later[0]) * (later[1] - earlier[1])
                later = earlier
            return later[1]

    def due(self, place: float) -> float | None:
        with self._counting:
            if not self._known:
                return None
            speed = self._speed_at(time.monotonic())
            told_at, last = place - speed * self._lead, self._samples[-1][1]
            if last >= told_at:
                return self._passed(told_at)
            if speed > 0 and told_at - last <= self._reach:
                return self._moving_since + (told_at - last) / speed
            return None

    def _went(self, moment: float, way: float) -> None:
        self._samples.append((moment, self._samples[-1][1] + way))
        self._moving_since, self._reach = moment, max(0.0, way)
        first = self._samples[-2]
        for back in range(3, min(SPEED_SAMPLES, len(self._samples)) + 1):
            if moment - self._samples[-back][0] > SPEED_S:
                break
            first = self._samples[-back]
        self._speed = max(0.0, (self._samples[-1][1] - first[1]) / max(moment - first[0], 1e-6))

    def _stood(self, moment: float) -> None:
        """A standstill is two samples, its begin and its end."""
        place = self._samples[-1][1]
        if len(self._samples) > 1 and self._samples[-2][1] == place:
            self._samples.pop()
        self._samples.append((moment, place))
        self._reach = min(self._reach, self._pulse)

    def _speed_at(self, moment: float) -> float:
        """mm/s; 0 where the next pulse should have come long ago."""
        stands = self._speed * (moment - self._moving_since) > 2 * max(self._reach, self._pulse)
        return 0.0 if stands else self._speed

    def _passed(self, place: float) -> float:
        """When the belt came to a place that lies behind it."""
        later = self._samples[-1]
        for earlier in reversed(self._samples):
            if earlier[1] < place:
                took, way = later[0] - earlier[0], later[1] - earlier[1]
                if took > SPEED_S and way < 1.5 * self._pulse:  # it stood, and came there with its first pulse
                    return later[0]
                return earlier[0] + _share(place, earlier[1], later[1]) * took
            later = earlier
        return later[0]


def _share(value: float, start: float, end: float) -> float:
    return (value - start) / (end - start) if end > start else 1.0
