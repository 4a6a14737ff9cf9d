"""The camera loop: capture, inference and output overlap, and every frame ends judged, dropped or failed.

    camera threads ─ frames → mailbox → this thread: engine, verdict, gate ─ events → a queue and a thread a sink

The thread that calls `Loop.run` owns the engine. It alone judges, so verdicts of a camera come in its order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import EngineManifest, Threshold
from aand_edge.data.resize import resize, uncrop
from aand_edge.engines.base import Frames, Outputs
from aand_edge.errors import AandEdgeError, DataError, EngineFailedError
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.events import Event, Failed, Inspected, Noticed, Timing
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.mailbox import Mailbox
from aand_edge.runtime.stopping import CAMERAS_S, Deadline, stop_each
from aand_edge.runtime.tally import Tally
from aand_edge.runtime.verdict import judge

LOG = logging.getLogger("aand_edge.runtime")

IDLE_S = 0.1  # how long the loop waits for a frame before it looks around
ENDING_S = 0.01  # how soon it sees that every camera has ended
GATHER = 0.1  # of an inference: how long a frame waits for other cameras' where an engine takes several
FailSafe = Literal["reject", "pass"]


@dataclass(frozen=True)
class LoopSettings:
    """What may change while the loop runs.

    threshold    in place of the engine's own; None: that
    deadline_ms  from capture to verdict; None: none
    fail_safe    what the gate is told of a frame that failed or came late. "pass" is for gates that would hit the
                 part behind.
    """

    threshold: float | None = None
    deadline_ms: float | None = None
    fail_safe: FailSafe = "reject"


class Camera(Protocol):
    """What the loop asks of `sources.camera.Camera`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def unobserved(part: Inspected, seen: NDArray[np.uint8]) -> Sequence[Event]:
    """The observer of a loop that has none."""
    return ()


class Rejector(Protocol):
    """What the loop asks of `conveyor.Conveyor`."""

    def reject(self, camera: str, number: int, captured: float) -> None: ...

    def fail_safe(self, rejecting: bool) -> None: ...


class Loop:
    """Judges frames until every source has ended or `stop` is called.

    look_around   called between frames, at least every `IDLE_S`: settings, engine, watchdog. Well under a
                  millisecond. It returns settings to go on with.
    observe       called with every judged part and its picture (H, W, 3) as the engine took it; returns what else
                  is to be told. Well under a millisecond too.
    """

    def __init__(
        self,
        engine: LiveEngine,
        mailbox: Mailbox,
        cameras: Sequence[Camera],
        outlets: Sequence[Outlet],
        settings: LoopSettings,
        rejector: Rejector | None = None,
        look_around: Callable[[LoopSettings], LoopSettings] = lambda settings: settings,
        observe: Callable[[Inspected, NDArray[np.uint8]], Sequence[Event]] = unobserved,
    ) -> None:
        self.tally = Tally()
        self._engine, self._mailbox, self._cameras, self._outlets = engine, mailbox, cameras, outlets
        self._settings, self._rejector = settings, rejector
        self._look_around, self._observe = look_around, observe
        self._counting = threading.Lock()
        self._gather = 0.0
        self._broken: EngineFailedError | None = None
        self._stopped = False  # no Event: a handler that interrupts its `set` would wait for that for ever

    def stop(self) -> None:
        """End after what waits was judged; from any thread, and from a signal handler."""
        self._stopped = True
        for outlet in self._outlets:
            outlet.hurry()

    def publish(self, event: Event) -> None:
        """Count an event and hand it to every sink; from any thread."""
        with self._counting:
            self.tally.count(event)
        if isinstance(event, Noticed):
            LOG.log({"info": 20, "warning": 30, "error": 40}[event.level], event.text)
        for outlet in self._outlets:
            outlet.put(event)

    def run(self) -> Tally:
        """Raises EngineFailedError where the engine fails twice; the gate is in its safe state then."""
        self.tally.started = time.monotonic()
        stopping: list[threading.Thread] = []
        try:
            for camera in self._cameras:
                camera.start()
            while not (self._stopped or self._mailbox.finished):
                self._settings = self._look_around(self._settings)
                self._turn(IDLE_S)
            stopping = self._stop_cameras()
            self._drain(stopping)
        except BaseException:
            if self._rejector is not None:
                self._rejector.fail_safe(self._settings.fail_safe == "reject")
            raise
        finally:
            self._end(stopping)
        return self.tally

    def _stop_cameras(self) -> list[threading.Thread]:
        self._mailbox.release()
        return stop_each(self._cameras)

    def _drain(self, stopping: Sequence[threading.Thread]) -> None:
        """Judge what was captured before the stop, for a while: cameras and triggers that end tell of parts yet."""
        end = Deadline(CAMERAS_S)
        while end.left:
            ended = not any(each.is_alive() for each in stopping)
            if not self._turn(0 if ended else ENDING_S) and ended:
                return

    def _end(self, stopping: list[threading.Thread]) -> None:
        for each in stopping or self._stop_cameras():
            each.join()
        for event in self._mailbox.close():
            self._failed(event) if isinstance(event, Failed) else self.publish(event)
        self.tally.ended = time.monotonic()

    def _turn(self, timeout: float) -> bool:
        """Take what came and judge it; False where nothing came. Raises EngineFailedError when all of it was told."""
        items = self._mailbox.take(self._engine.manifest.batch, timeout, self._gather if timeout else 0.0)
        taken = time.monotonic()
        frames: list[Frame] = []
        for item in items:
            if isinstance(item, Frame):
                frames.append(item)
                continue
            self._judge(frames, taken)  # what was told after a frame comes after its verdict
            frames = []
            self._failed(item) if isinstance(item, Failed) else self.publish(item)
        self._judge(frames, taken)
        if self._broken is not None:
            raise self._broken
        return bool(items)

    def _judge(self, frames: list[Frame], taken: float) -> None:
        manifest = self._engine.manifest
        whole = []
        for frame in frames:
            try:
                check_frame(frame, manifest)
            except DataError as error:
                self._failed(Failed.of(frame, str(error)))
            else:
                whole.append(frame)
        if not whole:
            return
        batch = prepare(whole, manifest)
        prepared = time.monotonic()
        outputs = self._answers(batch, whole)
        if outputs is None:
            return
        inferred = time.monotonic()
        self._gather = GATHER * (inferred - prepared)
        for index, frame in enumerate(whole):
            self._verdict(frame, outputs, index, batch, (taken, prepared, inferred))

    def _answers(self, batch: Frames, frames: Sequence[Frame]) -> Outputs | None:
        """The engine's; None where it failed for good, and these frames with it."""
        if self._broken is None:
            try:
                return self._engine.infer(batch)
            except EngineFailedError as error:
                self._broken = error
        for frame in frames:
            self._failed(Failed.of(frame, self._broken.message))
        return None

    def _verdict(
        self, frame: Frame, outputs: Outputs, index: int, batch: Frames, moments: tuple[float, float, float]
    ) -> None:
        manifest, settings = self._engine.manifest, self._settings
        whole = uncrop(outputs.anomaly_map[index], manifest.frame, manifest.roi)
        answer = Outputs(whole[None], outputs.score[index : index + 1])
        threshold = manifest.threshold
        if settings.threshold is not None:
            threshold = Threshold(value=settings.threshold, rule="manual")
        height, width = frame.picture.shape[:2]
        try:
            verdict = judge(answer, threshold, (height, width), frame.origin)[0]
        except AandEdgeError as error:
            self._failed(Failed.of(frame, str(error)))
            return
        timing = _timing(frame.captured, *moments, time.monotonic())
        late = settings.deadline_ms is not None and timing.total > settings.deadline_ms
        rejected = settings.fail_safe == "reject" if late else verdict.rejected
        if rejected and self._rejector is not None:
            self._rejector.reject(frame.camera, frame.number, frame.at_camera)
        inspected = Inspected(frame, verdict, whole, timing, rejected, late)
        self.publish(inspected)
        for event in self._observe(inspected, batch[index]):
            self.publish(event)

    def _failed(self, failed: Failed) -> None:
        """A part that nobody judged goes the safe way."""
        rejected = self._settings.fail_safe == "reject"
        if rejected and self._rejector is not None:
            captured = time.monotonic() if failed.captured is None else failed.captured
            self._rejector.reject(failed.camera, failed.number, captured)
        self.publish(replace(failed, rejected=rejected))


def _timing(captured: float, taken: float, prepared: float, inferred: float, judged: float) -> Timing:
    seconds = (taken - captured, prepared - taken, inferred - prepared, judged - inferred, judged - captured)
    return Timing(*(1000 * each for each in seconds))


def check_frame(frame: Frame, manifest: EngineManifest) -> None:
    """Raises DataError for a frame of another size where the engine looks at a region: it would lie elsewhere."""
    if manifest.roi is None or frame.picture.shape[:2] == tuple(manifest.frame):
        return
    (height, width), (wanted_height, wanted_width) = frame.picture.shape[:2], manifest.frame
    raise DataError(
        f"A frame of {width}x{height} came, and the engine looks at a region of {wanted_width}x{wanted_height}",
        "Give it whole frames of that size, or train on pictures of this one.",
    )


def prepare(frames: Sequence[Frame], manifest: EngineManifest) -> Frames:
    """uint8 (N, H, W, 3) in the engine's size and channel order; the last frame fills what is left of a batch."""
    pictures = [resize(frame.picture, *manifest.frame) for frame in frames]
    if manifest.colour == "RGB":
        pictures = [picture[:, :, ::-1] for picture in pictures]
    if manifest.batch == 1:
        return np.ascontiguousarray(pictures[0])[None]
    return np.stack([*pictures, *pictures[-1:] * (manifest.batch - len(pictures))])
