"""What the loop tells its sinks: one frozen record for everything that happens, in the order it happened.

    Inspected        a frame was judged
    Failed           a frame could not be judged, or a part passed without one, and why
    Dropped          frames that nobody looked at, how many and why: a newer one came, or no trigger asked for them
    SourceChanged    a camera connects, is live, stalls, is lost, ends
    Pulsed           the reject gate moved for a part, and how far from the part's own time
    Compared         a camera's last parts were compared with those at acceptance
    Noticed          settings reloaded, an engine swapped, scores drifted, a sink failed

Every frame of a camera ends in exactly one of the first three.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aand_edge.runtime.frame import Frame
from aand_edge.runtime.verdict import Verdict

Quantity = Literal["score", "brightness"]


class SourceState(str, Enum):
    """Where a camera is: only `LIVE` gives frames, and after `ENDED` comes nothing."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"  # a read passed its deadline; the source is killed and opened again
    LOST = "lost"  # it cannot be opened, or broke; tried again after a while
    ENDED = "ended"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each stage of one frame, from capture to verdict."""

    waited: float  # from capture until the engine's thread took it
    prepared: float  # resized, put into a batch
    inferred: float  # in the engine
    judged: float  # thresholded, regions found
    total: float


@dataclass(frozen=True)
class Inspected:
    """A judged frame. `rejected` is what the gate was told, which a late verdict may overrule.

    anomaly_map   float32 (H', W'), of the whole picture, raw
    late          the verdict came after the deadline
    """

    frame: Frame
    verdict: Verdict
    anomaly_map: NDArray[np.float32]
    timing: Timing
    rejected: bool
    late: bool = False

    @property
    def camera(self) -> str:
        return self.frame.camera

    @property
    def number(self) -> int:
        return self.frame.number

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without the picture and the map."""
        frame = self.frame
        truth = {} if frame.truth is None else {"truth": frame.truth}
        call = {} if frame.call is None else {"asked": frame.call.moment, "part": frame.call.part}
        return {
            "event": "inspected",
            "camera": frame.camera,
            "number": frame.number,
            "name": frame.name,
            "time": stamp(frame.time),
            "captured": frame.captured,
            **call,
            **self.verdict.to_dict(),
            "rejected": self.rejected,
            "late": self.late,
            "timing_ms": {name: round(value, 3) for name, value in asdict(self.timing).items()},
            **truth,
        }


@dataclass(frozen=True)
class Failed:
    """A frame that could not be judged, or a part that no frame shows. `rejected`: what the gate was told in its place.

    captured   as in `Frame`, where the frame got that far; of a part without a frame, when a trigger announced it
    part       as in `Call`
    """

    camera: str
    number: int
    reason: str
    time: datetime
    rejected: bool = False
    captured: float | None = None
    part: str | None = None

    @classmethod
    def of(cls, frame: Frame, reason: str) -> Failed:
        """Of a frame that was captured."""
        part = None if frame.call is None else frame.call.part
        return cls(frame.camera, frame.number, reason, frame.time, captured=frame.at_camera, part=part)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"event": "failed", **asdict(self), "time": stamp(self.time)}


@dataclass(frozen=True)
class Dropped:
    """`count` frames up to and with `number` that nobody looked at.

    reason   newest: a newer frame came before the engine was free · trigger: no part was due · stopped: the loop
             ended before
    """

    camera: str
    number: int
    count: int
    reason: Literal["newest", "trigger", "stopped"]
    time: datetime

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"event": "dropped", **asdict(self), "time": stamp(self.time)}


@dataclass(frozen=True)
class SourceChanged:
    """A camera's state changed. `reason` is a sentence, without credentials.

    again   it is live as it was before: a reconnect
    """

    camera: str
    state: SourceState
    reason: str
    time: datetime
    again: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"event": "source", **asdict(self), "state": self.state.value, "time": stamp(self.time)}


@dataclass(frozen=True)
class Pulsed:
    """The gate opened for a rejected part.

    jitter_ms   how long after the part's own moment the gate moved
    late        the part had passed when its verdict came or the gate could be told; `missed`: it did not move for it
    merged      the gate was open already, for the part before
    """

    camera: str
    number: int
    jitter_ms: float
    late: bool
    merged: bool
    missed: bool
    time: datetime

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"event": "pulsed", **asdict(self), "time": stamp(self.time)}


@dataclass(frozen=True)
class Compared:
    """A camera's last parts beside the pictures on which the engine was accepted; see `drift`.

    share        of all pairs (part, accepted picture), those in which the part's value is higher; ½: no change
    deviations   its distance from ½, in standard deviations of unchanged data
    """

    camera: str
    quantity: Quantity
    parts: int
    share: float
    deviations: float
    drifted: bool
    time: datetime

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"event": "compared", **asdict(self), "time": stamp(self.time)}


@dataclass(frozen=True)
class Noticed:
    """Something an operator may want to know, in one sentence."""

    level: Literal["info", "warning", "error"]
    text: str
    time: datetime

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"event": "noticed", **asdict(self), "time": stamp(self.time)}


Event = Inspected | Failed | Dropped | SourceChanged | Pulsed | Compared | Noticed


def stamp(time: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return time.isoformat(timespec="milliseconds")


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(timezone.utc)
