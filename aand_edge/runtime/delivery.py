"""Each sink in a thread of its own behind a bounded queue: a slow or broken one never holds the engine up."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Literal

import numpy as np

from aand_edge.runtime.events import Event, Inspected, Noticed, now
from aand_edge.runtime.sinks.base import Keeping, Sink
from aand_edge.runtime.stopping import DISK_S, SINKS_S

LOG = logging.getLogger("aand_edge.runtime")

WITH_PICTURES, WAITING = 32, 8192  # events that wait for a sink: those that hold a picture, and all
PATIENCE_S = 5.0  # how long files wait for a sink that is behind
LOOK_S = 0.05  # how soon who waits sees that it is to hurry
CALM_S = 10.0  # a sink that took events for so long, and raised at none, works again
UNHURRIED_S = 30.0  # how long a sink may take to write out what it holds after the last file: nobody waits for the end

NO_PICTURE = np.zeros((0, 0, 3), np.uint8)
NO_MAP = np.zeros((0, 0), np.float32)


class Outlet(AbstractContextManager["Outlet"]):
    """A sink, its queue and its thread.

    pictures   whether the sink looks at pictures and maps; where not, they are not kept for it
    wait       whether events wait for room (files) or are left out and counted (a line that does not stop)
    on_disk    at a stop it has `DISK_S` to write out what it holds, where others have `SINKS_S`
    lost       events that the sink never saw, since its queue was full
    failures   events that it raised at; `failed` is told the sink's name at each
    unwritten  events that never arrived, known at the end: lost, failures, and what was still queued at the deadline.
               A `Keeping` sink reports its own losses in place of failures.
    """

    def __init__(
        self,
        sink: Sink,
        pictures: bool,
        wait: bool,
        tell: Callable[[Noticed], None],
        failed: Callable[[str], None] = lambda name: None,
        on_disk: bool = False,
    ) -> None:
        self.name = sink.name
        self.lost = self.failures = self._left = 0
        self._sink, self._pictures, self._wait, self._tell = sink, pictures, wait, tell
        self._failed, self._on_disk = failed, on_disk
        self._queue: deque[Event] = deque()
        self._held = 0  # pictures in it
        self._changed = threading.Condition()
        self._leaving = self._failing = False
        self._failed_at = self._left_at = 0.0
        self._thread = threading.Thread(target=self._work, name=f"aand-sink-{sink.name}", daemon=True)

    def __enter__(self) -> Outlet:
        self._sink.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        while self._thread.is_alive() and (left := self._left_at + self._limit - time.monotonic()) > 0:
            self._thread.join(min(LOOK_S, left))
        if self._thread.is_alive():
            self._left = self.waiting + 1  # one is in its hands
            LOG.error("the sink %s did not end within %g s: %d events were left", self.name, self._limit, self.waiting)

    @property
    def waiting(self) -> int:
        """Events in the queue."""
        return len(self._queue)

    @property
    def unwritten(self) -> int:
        """For the end, when nobody hears a notice any more."""
        gone = self._sink.lost if isinstance(self._sink, Keeping) else self.failures
        return self.lost + gone + self._left

    @property
    def _limit(self) -> float:
        """Seconds from `leave` on; less when `hurry` is called meanwhile."""
        if self._wait:
            return UNHURRIED_S
        return DISK_S if self._on_disk else SINKS_S

    def hurry(self) -> None:
        """Wait no more, for room or for the end; from a signal handler too, which must not ask for a lock."""
        self._wait = False

    def leave(self) -> None:
        """Write out what is queued and end, without waiting for it: told at once, several sinks need one's time."""
        with self._changed:
            if not self._leaving:
                self._leaving, self._left_at = True, time.monotonic()
                self._changed.notify_all()

    def put(self, event: Event) -> None:
        """Queue an event for the sink."""
        if not self._pictures and isinstance(event, Inspected):
            event = replace(event, frame=replace(event.frame, picture=NO_PICTURE), anomaly_map=NO_MAP)
        with self._changed:
            end = time.monotonic() + PATIENCE_S
            while self._wait and self._is_full(event) and time.monotonic() < end:
                self._changed.wait(LOOK_S)
            if not self._is_full(event):
                self._queue.append(event)
                self._held += self._holds(event)
                self._changed.notify_all()
                return
            self.lost += 1
            first = self.lost == 1
        if first:
            self._notice("warning", f"The sink {self.name} is behind: events are left out")

    def _work(self) -> None:
        try:
            while (event := self._next()) is not None:
                self._append(event)
        finally:
            self._close()

    def _next(self) -> Event | None:
        """The next event; None where the loop ends and all was written."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._leaving)
            event = self._queue.popleft() if self._queue else None
            self._held -= event is not None and self._holds(event)
            self._changed.notify_all()
            return event

    def _is_full(self, event: Event) -> bool:
        """For this event: a burst of parts that are told as missed takes no picture's place."""
        return len(self._queue) >= WAITING or (self._holds(event) and self._held >= WITH_PICTURES)

    def _holds(self, event: Event) -> bool:
        return self._pictures and isinstance(event, Inspected)

    def _append(self, event: Event) -> None:
        try:
            self._sink.append(event)
        except Exception as error:  # whatever a sink raises, inspection goes on
            self.failures += 1
            self._failed_at = time.monotonic()
            self._failed(self.name)
            if not self._failing:
                self._failing = True
                LOG.error("the sink %s failed", self.name, exc_info=True)
                self._notice("error", f"The sink {self.name} failed: {error}")
            return
        # Not at once: most events are none of a sink's business, and it may fail again at the next that is.
        if self._failing and time.monotonic() - self._failed_at > CALM_S:
            self._failing = False
            self._notice("info", f"The sink {self.name} works again; it failed {self.failures} times")

    def _close(self) -> None:
        try:
            self._sink.__exit__(None, None, None)
        except Exception:
            self.failures += 1
            LOG.error("the sink %s could not be closed", self.name, exc_info=True)

    def _notice(self, level: Literal["info", "warning", "error"], text: str) -> None:
        if not self._leaving:
            self._tell(Noticed(level, text, now()))
