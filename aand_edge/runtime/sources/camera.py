"""A source that is kept alive: read in a thread of its own, opened again when it stalls or is lost, for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np

from aand_edge.errors import DataError
from aand_edge.runtime.events import Dropped, Failed, SourceChanged, SourceState, now
from aand_edge.runtime.frame import Call, Frame
from aand_edge.runtime.sources.base import NEVER, Grab, Source, SourceOptions, StalledError
from aand_edge.runtime.sources.child import IsolatedSource
from aand_edge.runtime.sources.redact import redact
from aand_edge.runtime.sources.uri import ISOLATED, open_source, split
from aand_edge.runtime.stopping import CAMERAS_S, Deadline
from aand_edge.runtime.triggers.base import Trigger

LOG = logging.getLogger("aand_edge.runtime")

FLIPS = {"horizontal": 1, "vertical": 0, "both": -1}
BACKOFF_S = (0.5, 30.0)  # doubled from the first to the second
STEADY_S = 10.0  # live for so long, the next fault waits the shortest time again
TELL_S = 1.0  # frames that no trigger asked for are told at least so often

Item = Frame | Failed | Dropped | SourceChanged


class Camera:
    """One camera of the loop. `deliver` is called from its thread, in order, and may block where nothing is live.

    roi          may be changed while it runs
    """

    def __init__(
        self,
        name: str,
        uri: str,
        deliver: Callable[[Item], None],
        options: SourceOptions | None = None,
        trigger: Trigger | None = None,
        source: Source | None = None,
    ) -> None:
        """source: in place of the one of the URI. Raises what `open_source` raises."""
        self.name, self.state = name, SourceState.CONNECTING
        options = options or SourceOptions()
        opened = source or open_source(uri, options)  # checks the URI here, though a child may open it
        isolated = source is None and split(uri)[0] in ISOLATED
        self._source: Source = IsolatedSource(uri, options) if isolated else opened
        self.live = self._source.live
        self.roi = options.roi
        self._told, self._flip, self._deliver, self._trigger = redact(uri), options.flip, deliver, trigger
        self._number, self._unasked, self._told_at = 0, 0, 0.0
        self._live_since: float | None = None
        self._was_live = False
        self._order = threading.Lock()  # numbers and items in one order: a trigger's thread tells of missed parts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"aand-camera-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect. Raises AandEdgeError where its trigger cannot be heard."""
        if self._trigger is not None:
            self._trigger.start(self._missed)
        self._thread.start()

    def stop(self) -> None:
        """End, within `CAMERAS_S`: a read that blocks for ever is left to end with the process."""
        end = Deadline(CAMERAS_S)
        self._stop.set()
        self._release_trigger()
        if isinstance(self._source, IsolatedSource):
            self._source.interrupt()
        if self._thread.is_alive():
            self._thread.join(end.left)

    def _work(self) -> None:
        wait, longest = BACKOFF_S
        while not self._stop.is_set():
            state, reason, again = self._live_once()
            if self._stop.is_set():
                state, reason = SourceState.ENDED, f"{self._told} is read no more"
            if state is SourceState.ENDED or not again:
                self._ended(state, reason)
                return
            self._changed(state, reason)
            steady = self._live_since is not None and time.monotonic() - self._live_since > STEADY_S
            wait = BACKOFF_S[0] if steady else wait
            self._stop.wait(wait)
            wait = min(2 * wait, longest)

    def _live_once(self) -> tuple[SourceState, str, bool]:
        """Open and read until it ends or breaks; what state that leaves, why, and whether it is worth another try."""
        self._live_since = None  # an opening that takes long is no life
        self._changed(SourceState.CONNECTING, f"opening {self._told}")
        try:
            self._source.open()
            self._live_since = time.monotonic()
            self._changed(SourceState.LIVE, f"{self._told} gives pictures")
            self._read_all()
        except StalledError as error:
            return SourceState.STALLED, str(error), self.live
        except Exception as error:  # whatever a driver raises, the camera is tried again
            again = self.live and not isinstance(error, NEVER)
            return SourceState.LOST, str(error) or type(error).__name__, again
        finally:
            with suppress(Exception):  # a broken driver may refuse even that, and the camera is tried again
                self._source.close()
        return SourceState.ENDED, f"{self._told} has no more pictures", False

    def _ended(self, state: SourceState, reason: str) -> None:
        if state is not SourceState.ENDED:
            self._changed(state, reason)
            # It is not opened again. How many frames are missing nobody knows; that some are must be counted.
            text = redact(f"{self._told} was not judged from here on")
            with self._order:
                self._deliver(Failed(self.name, self._next(), text, now(), captured=time.monotonic()))
        self._release_trigger()
        self._tell_unasked(force=True)
        self._changed(SourceState.ENDED, reason)

    def _changed(self, state: SourceState, reason: str) -> None:
        self.state = state
        again = state is SourceState.LIVE and self._was_live
        self._was_live = self._was_live or state is SourceState.LIVE
        reason = redact(reason)
        level = logging.WARNING if state in (SourceState.STALLED, SourceState.LOST) else logging.INFO
        LOG.log(level, "camera %s is %s: %s", self.name, state.value, reason)
        self._deliver(SourceChanged(self.name, state, reason, now(), again))

    def _read_all(self) -> None:
        away: str | None = None
        while not self._stop.is_set():
            try:
                grab = self._source.read()
            except DataError as error:
                with self._order:
                    self._deliver(Failed(self.name, self._next(), redact(str(error)), now(), captured=time.monotonic()))
                continue
            if grab is None:
                return
            if grab.away != away:
                away = grab.away
                self._changed(SourceState.LOST if away else SourceState.LIVE, away or f"{self._told} is there again")
            if grab.picture.size or grab.skipped:
                with self._order:
                    for item in self._items(grab):
                        self._deliver(item)

    def _items(self, grab: Grab) -> Iterator[Item]:
        if grab.skipped:
            self._number += grab.skipped
            yield Dropped(self.name, self._number - 1, grab.skipped, "newest", grab.time)
        if not grab.picture.size:
            return
        number = self._next()
        name = grab.name or f"{self.name}/{number}"
        frame = Frame(self.name, number, name, grab.picture, grab.captured, grab.time, truth=grab.truth, rate=grab.rate)
        try:
            frame = self._cut(frame)
        except DataError as error:
            yield Failed(self.name, number, str(error), grab.time, captured=grab.captured)
            return
        due = frame if self._trigger is None else self._trigger.due(frame)
        if due is None:
            self._unasked += 1
            self._tell_unasked()
            return
        self._tell_unasked(force=True, number=number - 1)
        yield due

    def _cut(self, frame: Frame) -> Frame:
        """Flipped, and the region of interest of it. Raises DataError where that leaves the picture."""
        picture = frame.picture
        if self._flip in FLIPS:
            picture = np.asarray(cv2.flip(picture, FLIPS[self._flip]), dtype=np.uint8)
        roi = self.roi  # once: the loop's thread may change it
        if roi is None:
            return replace(frame, picture=picture)
        x, y, width, height = roi
        if x + width > picture.shape[1] or y + height > picture.shape[0]:
            raise DataError(
                f"The region {width}x{height}+{x}+{y} leaves the picture of {picture.shape[1]}x{picture.shape[0]}",
                "Mend roi of that camera.",
            )
        part = np.ascontiguousarray(picture[y : y + height, x : x + width])
        return replace(frame, picture=part, origin=(x, y))

    def _missed(self, call: Call, reason: str) -> None:
        """A part passed that no frame shows: it gets a number and fails, as a frame that cannot be judged does."""
        reason = f"{reason}; the camera is {self.state.value}"
        with self._order:
            self._tell_unasked(force=True)
            self._deliver(Failed(self.name, self._next(), reason, now(), captured=call.moment, part=call.part))

    def _release_trigger(self) -> None:
        if self._trigger is not None:
            self._trigger.stop()

    def _tell_unasked(self, force: bool = False, number: int | None = None) -> None:
        """Frames that no trigger asked for, as one event for many."""
        if self._unasked and (force or time.monotonic() - self._told_at > TELL_S):
            last = self._number - 1 if number is None else number
            self._deliver(Dropped(self.name, last, self._unasked, "trigger", now()))
            self._unasked, self._told_at = 0, time.monotonic()

    def _next(self) -> int:
        self._number += 1
        return self._number - 1
