"""A call is answered by the first frame at its moment or later, by one alone, or its part fails with a reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aand_edge.runtime.events import Dropped, Failed, SourceChanged, SourceState
from aand_edge.runtime.frame import Call, Frame
from aand_edge.runtime.sources.base import Grab
from aand_edge.runtime.sources.camera import Camera, Item
from aand_edge.runtime.triggers.external import WAITING_CALLS, ExternalTrigger
from aand_edge.runtime.triggers.line import Hearer, Line
from tests.broker import until
from tests.frames import frame


class Wire(Line):
    """A line that a test calls."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[str] = []

    def _open(self) -> None:
        self.states.append("open")

    def _close(self) -> None:
        self.states.append("closed")

    def call(self, moment: float | None = None, part: str | None = None) -> bool:
        return self._called(time.monotonic() if moment is None else moment, part)


def started(delay_s: float = 0.0, timeout_s: float = 60.0) -> tuple[Wire, ExternalTrigger, list[tuple[Call, str]]]:
    wire, missed = Wire(), list[tuple[Call, str]]()
    trigger = ExternalTrigger(wire, delay_s, timeout_s)
    trigger.start(lambda call, reason: missed.append((call, reason)))
    return wire, trigger, missed


def answered(trigger: ExternalTrigger, captured: list[float]) -> list[tuple[float, str | None]]:
    """The frames that are due, by when they were captured, and the part that each shows."""
    frames = [trigger.due(frame(number, captured=moment)) for number, moment in enumerate(captured)]
    return [(each.captured, each.call and each.call.part) for each in frames if each is not None]


def test_the_first_frame_at_the_moment_or_later_answers() -> None:
    wire, trigger, missed = started()
    now = time.monotonic()
    wire.call(now, "A17")
    assert answered(trigger, [now - 0.1, now - 0.001, now, now + 0.1]) == [(now, "A17")]
    assert answered(trigger, [now + 0.2]) == [], "one frame a call"
    trigger.stop()
    assert missed == []


def test_a_delay_moves_the_moment() -> None:
    wire, trigger, _ = started(delay_s=0.25)
    now = time.monotonic()
    wire.call(now)
    assert answered(trigger, [now + 0.1, now + 0.2, now + 0.3, now + 0.4]) == [(now + 0.3, None)]
    trigger.stop()


def test_calls_between_two_frames_have_a_frame_each_in_their_order() -> None:
    wire, trigger, _ = started()
    now = time.monotonic()
    for place, part in enumerate("abc"):
        wire.call(now + 0.001 * place, part)
    assert answered(trigger, [now + 0.1, now + 0.2, now + 0.3, now + 0.4]) == [
        (now + 0.1, "a"),
        (now + 0.2, "b"),
        (now + 0.3, "c"),
    ]
    trigger.stop()


def test_a_part_without_a_frame_in_time_is_missed_though_no_frame_comes_at_all() -> None:
    wire, trigger, missed = started(delay_s=0.01, timeout_s=0.03)
    now = time.monotonic()
    wire.call(now, "A17")
    until(lambda: bool(missed))
    assert time.monotonic() - now >= 0.04
    assert missed == [(Call(now + 0.01, "A17"), "No frame came within 30 ms of the part's moment")]
    assert answered(trigger, [now + 0.02]) == [], "it was told as missed"
    trigger.stop()


def test_a_frame_that_comes_too_late_answers_the_next_call() -> None:
    wire, trigger, missed = started(timeout_s=0.5)
    now = time.monotonic()
    wire.call(now, "early")
    wire.call(now + 0.4, "next")
    assert answered(trigger, [now + 0.6]) == [(now + 0.6, "next")]
    until(lambda: bool(missed))
    assert [call.part for call, _ in missed] == ["early"]
    trigger.stop()


def test_a_burst_is_bounded_and_told() -> None:
    wire, trigger, missed = started()
    taken = [wire.call(part=str(number)) for number in range(WAITING_CALLS + 2)]
    assert taken == [True] * WAITING_CALLS + [False] * 2
    assert [call.part for call, _ in missed] == ["16", "17"]
    assert all("faster than frames" in reason for _, reason in missed)
    trigger.stop()
    assert len(missed) == WAITING_CALLS + 2, "what waits at the end is missed"
    assert missed[-1][1] == "No frame came before the camera's end"
    wire.call()
    trigger.stop()
    assert len(missed) == WAITING_CALLS + 2, "nobody hears any more"


def test_cameras_around_a_part_hear_one_line() -> None:
    wire = Wire()
    triggers = [ExternalTrigger(wire) for _ in range(2)]
    for trigger in triggers:
        trigger.start(lambda call, reason: None)
    now = time.monotonic()
    wire.call(now, "A17")
    assert [answered(trigger, [now]) for trigger in triggers] == [[(now, "A17")]] * 2
    triggers[0].stop()
    assert wire.states == ["open"]
    triggers[1].stop()
    assert wire.states == ["open", "closed"]


# In a camera


class Steady:
    """A picture every 10 ms, while it is not told to hang."""

    live = True

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.let_go = threading.Event()

    def open(self) -> None: ...

    def read(self) -> Grab | None:
        if self.hangs.is_set():
            self.let_go.wait(20)
            return None
        time.sleep(0.01)
        return Grab.now(np.zeros((8, 8, 3), np.uint8))

    def close(self) -> None: ...


def seen(items: list[Item], kind: type[Frame] | type[Failed]) -> list[str | None]:
    """The parts of such items."""
    if kind is Failed:
        return [item.part for item in items if isinstance(item, Failed)]
    return [item.call and item.call.part for item in items if isinstance(item, Frame)]


def test_a_camera_gives_a_frame_a_call_and_a_failure_where_it_hangs() -> None:
    items, source, wire = list[Item](), Steady(), Wire()
    camera = Camera("top", "test://", items.append, None, ExternalTrigger(wire, 0, 0.3), source)
    camera.start()
    until(lambda: camera.state is SourceState.LIVE)
    for part in ("a", "b"):
        wire.call(part=part)
    until(lambda: seen(items, Frame) == ["a", "b"])
    source.hangs.set()
    time.sleep(0.05)
    wire.call(part="c")
    until(lambda: seen(items, Failed) == ["c"])
    wire.call(part="d")
    camera.stop()
    source.let_go.set()
    assert seen(items, Failed) == ["c", "d"]
    failed = [item for item in items if isinstance(item, Failed)]
    assert failed[0].reason == "No frame came within 300 ms of the part's moment; the camera is live"
    assert all(item.captured is not None and item.captured < time.monotonic() for item in failed)
    for shown in (item for item in items if isinstance(item, Frame)):
        assert shown.call is not None
        assert shown.at_camera == shown.call.moment <= shown.captured
    check_numbers(items)


def check_numbers(items: list[Item]) -> None:
    """Every number has one fate, and they come in order."""
    expected = 0
    for item in items:
        if isinstance(item, SourceChanged):
            continue
        if isinstance(item, Dropped):
            expected += item.count
            assert item.number == expected - 1
        else:
            assert item.number == expected
            expected += 1


def test_numbers_stay_in_order_while_frames_come_and_parts_are_missed() -> None:
    items, wire = list[Item](), Wire()
    camera = Camera("top", "test://", items.append, None, ExternalTrigger(wire), Steady())
    camera.start()
    until(lambda: camera.state is SourceState.LIVE)
    for _ in range(3 * WAITING_CALLS):
        wire.call()
    until(lambda: len(seen(items, Frame)) == WAITING_CALLS)
    camera.stop()
    assert len(seen(items, Failed)) >= WAITING_CALLS
    check_numbers(items)


def test_a_part_that_waits_when_the_source_ends_is_told_before_the_end() -> None:
    items, source, wire = list[Item](), Steady(), Wire()
    camera = Camera("top", "test://", items.append, None, ExternalTrigger(wire, 60), source)
    camera.start()
    until(lambda: camera.state is SourceState.LIVE)
    wire.call(part="a")
    source.hangs.set()
    source.let_go.set()
    until(lambda: camera.state is SourceState.ENDED)
    camera.stop()
    kinds = [type(item).__name__ for item in items if not isinstance(item, Dropped)]
    assert kinds[-2:] == ["Failed", "SourceChanged"]
    assert replace(seen_failed(items), captured=None).part == "a"


def seen_failed(items: list[Item]) -> Failed:
    (failed,) = (item for item in items if isinstance(item, Failed))
    return failed


@pytest.mark.parametrize("hearers", [1, 3])
def test_a_line_opens_for_the_first_and_closes_after_the_last(hearers: int) -> None:
    wire = Wire()
    everyone: list[Hearer] = [made(number) for number in range(hearers)]
    for each in everyone:
        wire.join(each)
    for each in everyone:
        assert wire.states == ["open"]
        wire.leave(each)
        wire.leave(each)
    assert wire.states == ["open", "closed"]


def made(number: int) -> Callable[[float, str | None], bool]:
    return lambda moment, part: number >= 0
