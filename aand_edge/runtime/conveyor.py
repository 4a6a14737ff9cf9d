"""Each rejected part reaches the gate at its own time: the gate opens then, and not when the verdict comes."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from aand_edge.errors import GateError, UsageError
from aand_edge.runtime.events import Event, Noticed, Pulsed, now
from aand_edge.runtime.gates.base import Gate

IN_FLIGHT = 256  # parts between camera and gate
DRAIN_S = 1.0  # how long parts in flight are still pushed off after the loop has ended
LATE_S = 0.005  # a part that passed the gate's moment by less is still hit


@dataclass(frozen=True)
class Travel:
    """From the camera to the gate.

    seconds   from capture until the part stands before the gate
    pulse_s   how long the gate stays open
    lead_s    how long the actuator takes, so that much earlier it is told
    """

    seconds: float
    pulse_s: float = 0.08
    lead_s: float = 0.0

    @classmethod
    def of(cls, distance_mm: float, speed_mm_s: float | None, pulse_ms: float, lead_ms: float) -> Travel:
        """Raises UsageError for a distance without a speed."""
        if distance_mm and not speed_mm_s:
            raise UsageError("distance_mm needs the belt's speed", "Give speed_mm_s under [run.gate].")
        return cls(distance_mm / (speed_mm_s or 1.0), pulse_ms / 1000, lead_ms / 1000)


@dataclass(order=True, frozen=True)
class Part:
    """A rejected part on its way; `due` is when the gate is told, on the monotonic clock."""

    due: float
    camera: str = field(compare=False)
    number: int = field(compare=False)
    late: bool = field(compare=False, default=False)


class Conveyor:
    """A context manager with a thread that owns the gate. Overlapping pulses merge: the gate stays open.

    late   a part whose moment has passed when its verdict comes: "skip", since the gate would hit the one behind it,
           or "pulse-now", where parts are far apart
    safe   the gate's position after `fail_safe`: "reject" lets nothing pass that nobody judged
    """

    def __init__(
        self,
        gate: Gate,
        travel: Travel,
        emit: Callable[[Event], None],
        late: Literal["skip", "pulse-now"] = "skip",
        safe: Literal["reject", "pass"] = "reject",
    ) -> None:
        self._gate, self._travel, self._emit, self._late, self._safe = gate, travel, emit, late, safe
        self._parts: list[Part] = []
        self._open_until: float | None = None
        self._changed = threading.Condition()
        self._leaving: float | None = None
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="aand-conveyor", daemon=True)

    def __enter__(self) -> Conveyor:
        self._gate.__enter__()
        self._move(rejecting=False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._leaving = time.monotonic() + DRAIN_S
            self._changed.notify_all()
        self._thread.join(DRAIN_S + 1)
        self._gate.__exit__(kind, error, trace)

    def reject(self, camera: str, number: int, captured: float) -> None:
        """Push off the part that was captured at `captured`, monotonic seconds, when it comes to the gate."""
        due, moment = captured + self._travel.seconds - self._travel.lead_s, time.monotonic()
        late = due < moment - LATE_S and self._travel.seconds > 0
        part = Part(max(due, moment), camera, number, late)
        with self._changed:
            refused = (late and self._late == "skip") or len(self._parts) >= IN_FLIGHT or self._failed
            if not refused:
                heapq.heappush(self._parts, part)
                self._changed.notify_all()
        if refused:
            self._told(part, 1000 * (moment - due), missed=True)

    def fail_safe(self) -> None:
        """Into the safe position, for good: nobody judges any more."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (step := self._next()) is not None:
            step()
        if self._failed:
            self._move(rejecting=self._safe == "reject")
        else:
            self._move(rejecting=False)
        for part in self._parts:
            self._told(part, 0.0, missed=True)

    def _next(self) -> Callable[[], None] | None:
        """Wait until the gate is to be moved; None when it is over."""
        with self._changed:
            while True:
                moment = time.monotonic()
                ends = self._leaving is not None and (moment >= self._leaving or self._idle())
                if self._failed or ends:
                    return None
                if self._parts and self._parts[0].due <= moment:
                    part = heapq.heappop(self._parts)
                    return lambda: self._pulse(part)
                if self._open_until is not None and self._open_until <= moment:
                    return self._close
                moments = [part.due for part in self._parts[:1]]
                moments += [each for each in (self._open_until, self._leaving) if each is not None]
                self._changed.wait(min(moments) - moment if moments else None)

    def _idle(self) -> bool:
        return not self._parts and self._open_until is None

    def _pulse(self, part: Part) -> None:
        merged = self._open_until is not None
        self._open_until = max(self._open_until or 0.0, part.due + self._travel.pulse_s)
        moved = merged or self._move(rejecting=True)
        self._told(part, 1000 * (time.monotonic() - part.due), merged=merged, missed=not moved)

    def _close(self) -> None:
        self._open_until = None
        self._move(rejecting=False)

    def _move(self, rejecting: bool) -> bool:
        """Whether the gate was told; a gate that does not answer is connected afresh once."""
        try:
            self._gate.set(rejecting)
        except GateError:
            try:
                self._gate.__exit__(None, None, None)
                self._gate.__enter__()
                self._gate.set(rejecting)
            except GateError as error:
                self._emit(Noticed("error", f"The gate did not move: {error}", now()))
                return False
        return True

    def _told(self, part: Part, jitter_ms: float, merged: bool = False, missed: bool = False) -> None:
        self._emit(Pulsed(part.camera, part.number, jitter_ms, part.late, merged, missed, now()))
