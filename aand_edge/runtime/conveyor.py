"""Each rejected part reaches the gate at its own time: the gate opens then, and not when the verdict comes."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from aand_edge.errors import GateError
from aand_edge.runtime.belt import Belt
from aand_edge.runtime.events import Event, Noticed, Pulsed, now
from aand_edge.runtime.gates.base import Gate
from aand_edge.runtime.stopping import GATE_S, Deadline

IN_FLIGHT = 256  # parts between camera and gate
DRAIN_S = 0.25  # of `GATE_S`: how long parts in flight are still pushed off after the loop has ended
ANSWER_S = 0.1  # and then for the answer of a gate that works; what is left is for one that does not
LATE_S = 0.005  # a part that passed the gate's moment by less is still hit
RETRY_S = 1.0  # until a gate that did not answer is told again


@dataclass(frozen=True)
class Travel:
    """From the camera to the gate.

    distance   mm; 0: the gate opens as soon as the verdict is there
    pulse_s    how long the gate stays open
    """

    distance: float
    pulse_s: float = 0.08


@dataclass(order=True, frozen=True)
class Part:
    """A rejected part on its way.

    place   of the belt when the part is before the gate
    told    when its verdict came, monotonic seconds
    late    the part had passed then
    """

    place: float
    camera: str = field(compare=False)
    number: int = field(compare=False)
    told: float = field(compare=False)
    late: bool = field(compare=False, default=False)


class Conveyor:
    """A context manager with a thread that owns the gate. Overlapping pulses merge: the gate stays open.

    late   a part whose moment has passed when its verdict comes, or when the gate can be told: "skip", since the gate
           would hit the one behind it, or "pulse-now", where parts are far apart

    A gate that does not answer is connected afresh and told again, until it is where it should be. Parts that came
    meanwhile are missed.
    """

    def __init__(
        self,
        gate: Gate,
        belt: Belt,
        travel: Travel,
        emit: Callable[[Event], None],
        late: Literal["skip", "pulse-now"] = "skip",
    ) -> None:
        self._gate, self._belt, self._travel, self._emit, self._late = gate, belt, travel, emit, late
        self._parts: list[Part] = []
        self._hit: Part | None = None  # the one that the gate is being told of
        self._to_come: list[tuple[float, str, int]] = []  # when each will be before the camera, and which it is
        self._open_until: float | None = None
        self._changed = threading.Condition()
        self._leaving: float | None = None
        self._failed = self._safe = False
        self._position = False  # where the gate should be
        self._again: float | None = None  # when it is told once more
        self._faults = 0  # since it last answered
        self._thread = threading.Thread(target=self._work, name="aand-conveyor", daemon=True)

    def __enter__(self) -> Conveyor:
        self._belt.start(self._look)
        try:
            self._gate.__enter__()
        except BaseException:
            self._belt.stop(Deadline(GATE_S))
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = Deadline(GATE_S)
        with self._changed:
            self._leaving = time.monotonic() + DRAIN_S
            self._changed.notify_all()
        self._thread.join(DRAIN_S + ANSWER_S)
        if self._thread.is_alive():
            self._gate.interrupt()  # the answer about a part is not worth waiting for: the gate is to be closed
        self._belt.stop(end)
        self._thread.join(end.left)
        if self._thread.is_alive():
            self._notice("error", f"The gate did not confirm its safe position within {GATE_S:g} s")
            self._leave_parts()
        else:
            self._gate.__exit__(kind, error, trace)

    def reject(self, camera: str, number: int, captured: float) -> None:
        """Push off the part that was captured at `captured`, monotonic seconds, when it comes to the gate.

        One that failed before it came to the camera is waited for: nobody knows yet where the belt will be then.
        """
        if captured > time.monotonic() and self._await(captured, camera, number):
            return
        moment, start = time.monotonic(), self._belt.at(captured)
        place = (start or 0.0) + self._travel.distance
        due = None if start is None else self._belt.due(place)
        late = self._travel.distance > 0 and due is not None and due < moment - LATE_S
        part = Part(place, camera, number, moment, late)
        with self._changed:
            lost = start is None or self._failed or self._is_full()
            refused = lost or (late and self._late == "skip")
            if not refused:
                heapq.heappush(self._parts, part)
                self._changed.notify_all()
        if refused:
            self._tell(part, 1000 * (moment - due) if late and due is not None else 0.0, late, missed=True)

    def _await(self, captured: float, camera: str, number: int) -> bool:
        with self._changed:
            if self._failed or self._is_full():
                return False
            heapq.heappush(self._to_come, (captured, camera, number))
            self._changed.notify_all()
        return True

    def _is_full(self) -> bool:
        return len(self._parts) + len(self._to_come) >= IN_FLIGHT

    def fail_safe(self, rejecting: bool) -> None:
        """Into that position, for good: nobody judges any more."""
        with self._changed:
            self._failed, self._safe = True, rejecting
            self._changed.notify_all()

    def _look(self) -> None:
        """The belt moved; it calls thousands of times, and most of them no part is on its way."""
        if self._parts:
            with self._changed:
                self._changed.notify_all()

    def _work(self) -> None:
        try:
            self._move(rejecting=False)
            while (step := self._next()) is not None:
                step()
            self._move(rejecting=self._failed and self._safe, last=True)
        except Exception as error:  # a thread that ends unsaid would leave parts neither pushed off nor told
            self._break(error)
        finally:
            self._leave_parts()

    def _break(self, error: Exception) -> None:
        """Of what nobody foresaw: the gate goes to its safe side, and each part that comes is told as missed."""
        with self._changed:
            self._failed = True
        self._try(rejecting=self._safe)
        reason = str(error) or type(error).__name__
        self._notice("error", f"The gate is moved no more ({reason}): start aand-edge again")

    def _leave_parts(self) -> None:
        """It is over: each part is told, by this thread or by who waits for it no longer."""
        self._give_up()
        with self._changed:
            to_come, self._to_come = self._to_come, []
        for captured, camera, number in to_come:
            self._tell(Part(0.0, camera, number, captured), 0.0, late=False, missed=True)

    def _next(self) -> Callable[[], None] | None:
        """Wait until the gate is to be moved; None when it is over."""
        with self._changed:
            while True:
                moment = time.monotonic()
                if self._failed or self._over() or (self._leaving is not None and self._idle()):
                    return None
                if self._to_come and self._to_come[0][0] <= moment:
                    captured, camera, number = heapq.heappop(self._to_come)
                    return lambda: self.reject(camera, number, captured)
                if self._parts and self._belt.at(moment) is None:
                    return self._give_up
                due = self._due()
                if due is not None and due <= moment:
                    self._hit = part = heapq.heappop(self._parts)
                    return lambda: self._pulse(part, due)
                if self._open_until is not None and self._open_until <= moment:
                    return self._close
                if self._again is not None and self._again <= moment:
                    return self._repeat
                comes = self._to_come[0][0] if self._to_come else None
                timed = (due, comes, self._open_until, self._again, self._leaving)
                moments = [each for each in timed if each is not None]
                self._changed.wait(min(moments) - moment if moments else None)

    def _due(self) -> float | None:
        """When the first part comes to the gate, but not before its verdict; None while the belt is far from there."""
        if not self._parts:
            return None
        first = self._parts[0]
        due = self._belt.due(first.place)
        return None if due is None else max(due, first.told)

    def _over(self) -> bool:
        return self._leaving is not None and time.monotonic() >= self._leaving

    def _idle(self) -> bool:
        return not self._parts and not self._to_come and self._open_until is None

    def _pulse(self, part: Part, due: float) -> None:
        moment = time.monotonic()
        passed = self._travel.distance > 0 and moment - due > self._travel.pulse_s
        if passed and self._late == "skip":
            self._tell_hit(part, 1000 * (moment - due), late=True, missed=True)
            return
        if passed:
            due = moment
        merged = self._open_until is not None
        self._open_until = max(self._open_until or 0.0, due + self._travel.pulse_s)
        moved = merged or self._move(rejecting=True)
        if not moved:
            self._open_until, self._position = None, False  # told later, it would hit another part
        self._tell_hit(part, 1000 * (time.monotonic() - due), part.late or passed, merged, missed=not moved)

    def _tell_hit(self, part: Part, jitter_ms: float, late: bool, merged: bool = False, missed: bool = False) -> None:
        """Unless `_leave_parts` did, since the gate took too long."""
        with self._changed:
            told, self._hit = self._hit is None, None
        if not told:
            self._tell(part, jitter_ms, late, merged, missed)

    def _close(self) -> None:
        self._open_until = None
        self._move(rejecting=False)

    def _repeat(self) -> None:
        self._move(self._position)

    def _give_up(self) -> None:
        """Nobody knows where the parts are, or it is over."""
        with self._changed:
            parts = [part for part in (self._hit, *self._parts) if part is not None]
            self._hit, self._parts = None, []
        for part in parts:
            self._tell(part, 0.0, part.late, missed=True)

    def _move(self, rejecting: bool, last: bool = False) -> bool:
        """Whether the gate was told; one that did not answer is connected afresh once, if there is time for it."""
        self._position = rejecting
        fault = self._try(rejecting)
        if fault is not None and not self._faults and (last or not self._over()):
            fault = self._try(rejecting, afresh=True)
        if fault is None:
            self._again = None if self._gate.refresh_s is None else time.monotonic() + self._gate.refresh_s
            if self._faults:
                self._notice("info", f"The gate answers again; it was told {self._faults} times in vain")
            self._faults = 0
            return True
        self._again = time.monotonic() + RETRY_S
        self._faults += 1
        if self._faults == 1:
            self._notice("error", f"The gate did not move: {fault}")
        return False

    def _try(self, rejecting: bool, afresh: bool = False) -> GateError | None:
        """What the gate raised, if anything: a driver may raise what it likes, and the next part is to be tried."""
        try:
            if afresh:
                self._gate.__exit__(None, None, None)
                self._gate.__enter__()
            self._gate.set(rejecting)
        except GateError as error:
            return error
        except Exception as error:
            reason = str(error) or type(error).__name__
            return GateError(f"{self._gate.name} failed: {reason}", "Check its driver and its wiring.")
        return None

    def _notice(self, level: Literal["info", "error"], text: str) -> None:
        self._emit(Noticed(level, text, now()))

    def _tell(self, part: Part, jitter_ms: float, late: bool, merged: bool = False, missed: bool = False) -> None:
        self._emit(Pulsed(part.camera, part.number, jitter_ms, late, merged, missed, now()))
