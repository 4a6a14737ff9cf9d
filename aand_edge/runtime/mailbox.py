"""Between the cameras' threads and the engine's: bounded, fair, in each camera's order, and nothing lost unsaid."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from enum import Enum

from aand_edge.runtime.events import Dropped, Event, Failed, SourceChanged, SourceState, now
from aand_edge.runtime.frame import Frame

Item = Frame | Failed | Dropped | SourceChanged

WAITING_FILES = 4  # frames that a lossless lane holds before its camera waits
WAITING_PARTS = 16  # frames of a triggered lane; each shows a part of its own
WAITING_EVENTS = 1024  # of a lane that nobody empties: failed frames beyond it are only counted


class Policy(str, Enum):
    """What becomes of frames that come while the engine is busy."""

    NEWEST = "newest"  # a newer frame takes the place of one that waits: the world does not
    PARTS = "parts"  # every frame shows another part: they wait, and one too many fails
    LOSSLESS = "lossless"  # the camera waits


class Lane:
    """One camera's items, in order. Not thread-safe: the mailbox holds its lock."""

    def __init__(self, camera: str, policy: Policy) -> None:
        self.camera, self.policy = camera, policy
        self.ended = self.closed = False
        self.frames = 0
        self._items: deque[Item] = deque()
        self._replaced = self._refused = 0
        self._last = -1  # number of the newest frame that was refused

    @property
    def full(self) -> bool:
        return self.policy is Policy.LOSSLESS and self.frames >= WAITING_FILES

    def put(self, item: Item) -> None:
        if isinstance(item, Frame) and not self.closed:
            self._put_frame(item)
        elif isinstance(item, Frame) or (isinstance(item, Failed) and len(self._items) >= WAITING_EVENTS):
            self._refused, self._last = self._refused + 1, item.number
        else:
            self._items.append(item)

    def _put_frame(self, frame: Frame) -> None:
        if self.policy is Policy.NEWEST and self.frames:
            self._remove_frame()
            self._replaced += 1
        if self.policy is Policy.PARTS and self.frames >= WAITING_PARTS:
            text = f"{WAITING_PARTS} parts waited already: the engine is slower than the line"
            self._items.append(Failed.of(frame, text))
            return
        self._items.append(frame)
        self.frames += 1

    def _remove_frame(self) -> None:
        self._items = deque(item for item in self._items if not isinstance(item, Frame))
        self.frames = 0

    def take(self) -> Iterator[Item]:
        """What lies before the next frame, what that frame replaced, and the frame."""
        while self._items:
            item = self._items.popleft()
            if isinstance(item, Frame):
                self.frames -= 1
                if self._replaced:
                    yield Dropped(self.camera, item.number - 1, self._replaced, "newest", item.time)
                    self._replaced = 0
                yield item
                return
            self.ended = self.ended or (isinstance(item, SourceChanged) and item.state is SourceState.ENDED)
            yield item

    def clear(self) -> list[Event]:
        """Everything that nobody took: frames are told as dropped, the rest as it is."""
        frames = [item.number for item in self._items if isinstance(item, Frame)]
        told: list[Event] = [item for item in self._items if not isinstance(item, Frame)]
        count = len(frames) + self._replaced + self._refused
        if count:
            told.append(Dropped(self.camera, max([self._last, *frames]), count, "stopped", now()))
        self._items.clear()
        self.frames = self._replaced = self._refused = 0
        return told


class Mailbox:
    """Lanes of several cameras; one thread takes, each camera's own thread puts."""

    def __init__(self, lanes: dict[str, Policy]) -> None:
        self._lanes = {camera: Lane(camera, policy) for camera, policy in lanes.items()}
        self._turn = deque(self._lanes.values())
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Add a camera's next item; where its lane is lossless and full, wait until there is room."""
        with self._changed:
            lane = self._lanes[item.camera]
            if isinstance(item, Frame):
                self._changed.wait_for(lambda: self._closed or not lane.full)
            lane.put(item)
            self._changed.notify_all()

    def take(self, frames: int, timeout: float, gather: float = 0.0) -> list[Item]:
        """Up to so many frames and what was told before each, cameras in turns; [] where nothing came in time.

        timeout   seconds
        gather    seconds that the first frame waits for those of other cameras, where several are taken
        """
        with self._changed:
            came = self._changed.wait_for(lambda: any(self._waiting()), timeout)
            if came and frames > 1 and gather > 0:
                self._changed.wait_for(lambda: self._gathered(frames), gather)
            taken: list[Item] = []
            count = idle = 0
            while count < frames and idle < len(self._turn):
                items = list(self._turn[0].take())
                self._turn.rotate(-1)  # who was served waits for all others
                idle = 0 if items else idle + 1
                taken += items
                count += sum(isinstance(item, Frame) for item in items)
            self._changed.notify_all()
            return taken

    @property
    def finished(self) -> bool:
        """Every source has ended, and everything of it was taken."""
        with self._changed:
            return all(lane.ended for lane in self._lanes.values())

    def close(self) -> list[Event]:
        """Tell what nobody took; call it when the cameras have stopped."""
        self.release()
        with self._changed:
            return [event for lane in self._lanes.values() for event in lane.clear()]

    def release(self) -> None:
        """From now on no camera waits for room: what waits can be taken, what comes is counted as dropped."""
        with self._changed:
            self._closed = True
            for lane in self._lanes.values():
                lane.closed = True
            self._changed.notify_all()

    def _gathered(self, frames: int) -> bool:
        """Enough for a batch, or one of every camera that still gives any."""
        lanes = self._lanes.values()
        return (
            self._closed
            or sum(lane.frames for lane in lanes) >= frames
            or all(lane.frames or lane.ended for lane in lanes)
        )

    def _waiting(self) -> Iterator[bool]:
        return (bool(lane._items) for lane in self._lanes.values())
