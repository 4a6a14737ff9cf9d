"""What the page shows, gathered from events: bounded, however long the loop runs."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from aand_edge.runtime.events import (
    Compared,
    Dropped,
    Event,
    Failed,
    Inspected,
    Noticed,
    Pulsed,
    SourceChanged,
    SourceState,
    stamp,
)
from aand_edge.runtime.live_page.pictures import Reject
from aand_edge.runtime.sinks.metrics import Rate
from aand_edge.runtime.sinks.payload import is_rejected

PARTS = 1000  # scores in the chart
REJECTS = 16  # rejected parts whose pictures are kept
NOTICES = 30
SILENT_S = 1.5  # a live camera that gave nothing for so long is told as silent, before its read deadline comes
SILENT_GAPS = 4.0  # or for so many times its usual pause, where that is longer
COUNTED = ("judged", "rejected", "dropped", "failed", "late", "missed")

Part = tuple[float, float, int, int]  # score, threshold, 1 if rejected + 2 if late, camera's place


@dataclass
class _Camera:
    """What is known of one camera. `seen`: when it last gave a sign of life, monotonic."""

    name: str
    live: bool
    place: int
    state: SourceState = SourceState.CONNECTING
    reason: str = ""
    since: float = field(default_factory=time.monotonic)
    seen: float | None = None
    gap: float | None = None
    judged: int = 0
    rejected: int = 0
    dropped: int = 0
    failed: int = 0
    late: int = 0
    missed: int = 0
    failure: str = ""
    rate: Rate = field(default_factory=Rate)
    drifted: set[str] = field(default_factory=set)
    newest: Inspected | None = None

    def take(self, event: Inspected | Failed | Dropped | SourceChanged | Pulsed | Compared) -> None:
        """Take one of its events into account."""
        if isinstance(event, SourceChanged):
            self._changed(event)
        elif isinstance(event, Compared):
            self.drifted.add(event.quantity) if event.drifted else self.drifted.discard(event.quantity)
        elif isinstance(event, Pulsed):
            self.missed += event.missed
        elif isinstance(event, Dropped):
            self._alive()
            self.dropped += event.count
        elif isinstance(event, Failed):
            self._alive()
            self.failed += 1
            self.failure = event.reason
        elif isinstance(event, Inspected):
            self._alive()
            self._judged(event)

    def _changed(self, event: SourceChanged) -> None:
        """A camera that is tried again stays lost until it is live, for as long as it has been."""
        broken = (SourceState.STALLED, SourceState.LOST)
        if self.state in broken and event.state is SourceState.CONNECTING:
            return
        if not (self.state in broken and event.state in broken):
            self.since = time.monotonic()
        self.state, self.reason, self.seen = event.state, event.reason, None

    def _judged(self, event: Inspected) -> None:
        self.judged += 1
        self.rejected += event.rejected
        self.late += event.late
        self.rate.tick()
        self.newest = event

    def _alive(self) -> None:
        now = time.monotonic()
        if self.seen is not None:
            gap = now - self.seen
            self.gap = gap if self.gap is None else self.gap + 0.1 * (gap - self.gap)
        self.seen = now

    def silent_s(self, now: float) -> float | None:
        """For how long a camera that should give pictures has given none; None where all is as usual."""
        if not self.live or self.state is not SourceState.LIVE:
            return None
        quiet = now - (self.since if self.seen is None else self.seen)
        return quiet if quiet > max(SILENT_S, SILENT_GAPS * (self.gap or 0.0)) else None

    def to_dict(self, now: float) -> dict[str, Any]:
        """As plain values; seconds are counted here, since the browser's clock is another."""
        return {
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "since_s": now - self.since,
            "silent_s": self.silent_s(now),
            "seen_s": None if self.newest is None else now - self.newest.frame.captured,
            "fps": self.rate.per_second(),
            "failure": self.failure,
            "drifted": sorted(self.drifted),
            **{name: getattr(self, name) for name in COUNTED},
        }


class Board:
    """Takes events from the sink's thread, and is read from the server's.

    engine    its name
    cameras   name → whether it is live, so that silence is a fault
    pinned    the command line named a threshold, which goes before the workspace file's
    """

    def __init__(self, engine: str, cameras: Mapping[str, bool], pinned: bool = False) -> None:
        self._lock = threading.Lock()
        # A browser that comes back to another run forgets what it knew.
        self._about = {"run": secrets.token_hex(8), "engine": engine, "pinned": pinned}
        self._cameras: dict[str, _Camera] = {}
        for name, live in cameras.items():
            self._add(name, live)
        self._parts: deque[Part] = deque(maxlen=PARTS)
        self._latencies: deque[float] = deque(maxlen=PARTS)
        self._part_count = self._reject_count = self._notice_count = 0
        self._rejects: deque[Reject] = deque(maxlen=REJECTS)
        self._notices: deque[Noticed] = deque(maxlen=NOTICES)

    def append(self, event: Event) -> None:
        """Take an event; in microseconds, but that a rejected part's picture is made smaller."""
        reject = Reject.of(event) if isinstance(event, Inspected) and is_rejected(event) else None
        with self._lock:
            if isinstance(event, Noticed):
                self._notices.append(event)
                self._notice_count += 1
                return
            camera = self._cameras.get(event.camera) or self._add(event.camera, False)
            camera.take(event)
            if isinstance(event, Inspected):
                self._keep(event, camera)
            if reject is not None:
                reject.id = self._reject_count
                self._reject_count += 1
                self._rejects.append(reject)

    def state(self) -> dict[str, Any]:
        """Everything but scores, notices and pictures, as plain values."""
        with self._lock:
            now = time.monotonic()
            cameras = [each.to_dict(now) for each in self._cameras.values()]
            return {
                **self._about,
                "threshold": self._parts[-1][1] if self._parts else None,
                "cameras": cameras,
                "counts": {name: sum(each[name] for each in cameras) for name in (*COUNTED, "fps")},
                "latency_ms": self._latency(),
            }

    def parts_after(self, count: int) -> tuple[int, list[Part]]:
        """How many parts there were in all, and those after the first `count` of them that are remembered."""
        with self._lock:
            new = min(self._part_count - count, len(self._parts))
            return self._part_count, list(islice(self._parts, len(self._parts) - new, None))

    def notices_after(self, count: int) -> tuple[int, list[dict[str, str]]]:
        """As `parts_after`."""
        with self._lock:
            new = min(self._notice_count - count, len(self._notices))
            told = islice(self._notices, len(self._notices) - new, None)
            return self._notice_count, [
                {"level": each.level, "text": each.text, "time": stamp(each.time)} for each in told
            ]

    def rejects(self) -> list[Reject]:
        """The last rejected parts, the oldest first."""
        with self._lock:
            return list(self._rejects)

    def newest(self) -> list[Inspected]:
        """The last judged part of each camera."""
        with self._lock:
            return [each.newest for each in self._cameras.values() if each.newest is not None]

    def _add(self, name: str, live: bool) -> _Camera:
        camera = self._cameras[name] = _Camera(name, live, len(self._cameras))
        return camera

    def _keep(self, event: Inspected, camera: _Camera) -> None:
        flags = int(event.rejected) + 2 * int(event.late)
        self._parts.append((event.verdict.score, event.verdict.threshold, flags, camera.place))
        self._part_count += 1
        self._latencies.append(event.timing.total)

    def _latency(self) -> dict[str, float]:
        if not self._latencies:
            return {}
        values = np.fromiter(self._latencies, np.float32)
        return {f"p{p}": float(np.percentile(values, p, method="inverted_cdf")) for p in (50, 95)}
