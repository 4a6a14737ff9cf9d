"""One frame a call from outside: a light barrier, a PLC, another program."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

from aand_edge.runtime.frame import Call, Frame
from aand_edge.runtime.triggers.base import Missed
from aand_edge.runtime.triggers.line import Line

WAITING_CALLS = 16  # of one camera; parts that come faster than its frames for longer are missed
TOO_MANY = f"{WAITING_CALLS} parts waited for a frame already: they come faster than frames"
TOO_LATE = "No frame came before the camera's end"


class ExternalTrigger:
    """A call is answered by the first frame captured at its moment or later that answers no earlier call.

    delay_s    from the call until the part stands before the camera: that is the call's moment
    timeout_s  how long after its moment a frame may still come, transfer included; then the part is missed
    """

    def __init__(self, line: Line, delay_s: float = 0.0, timeout_s: float = 0.5) -> None:
        self._line, self._delay, self._timeout = line, delay_s, timeout_s
        self._calls: deque[Call] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name="aand-trigger", daemon=True)

    def start(self, missed: Missed) -> None:
        self._missed = missed
        self._thread.start()
        self._line.join(self.call)

    def stop(self) -> None:
        self._line.leave(self.call)
        with self._changed:
            self._stopped = True
            left = list(self._calls)
            self._calls.clear()
            self._changed.notify_all()
        for call in left:
            self._missed(call, TOO_LATE)

    def call(self, moment: float, part: str | None) -> bool:
        """A part is announced. False where too many wait for a frame already: then it is missed."""
        call = Call(moment + self._delay, part)
        with self._changed:
            refused = TOO_LATE if self._stopped else TOO_MANY if len(self._calls) >= WAITING_CALLS else ""
            if not refused:
                self._calls.append(call)
                self._changed.notify_all()
        if refused:
            self._missed(call, refused)
        return not refused

    def due(self, frame: Frame) -> Frame | None:
        with self._changed:
            for call in self._calls:
                if call.moment <= frame.captured <= call.moment + self._timeout:
                    self._calls.remove(call)
                    return replace(frame, call=call)
        return None

    def _watch(self) -> None:
        """A camera that gives no frame cannot tell that one is missing: this thread does."""
        while (call := self._overdue()) is not None:
            self._missed(call, f"No frame came within {1000 * self._timeout:g} ms of the part's moment")

    def _overdue(self) -> Call | None:
        """Wait for a call whose time is over; None at the end."""
        with self._changed:
            while not self._stopped:
                left = self._calls[0].moment + self._timeout - time.monotonic() if self._calls else None
                if left is not None and left <= 0:
                    return self._calls.popleft()
                self._changed.wait(left)
        return None
