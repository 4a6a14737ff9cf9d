"""By an encoder a part reaches the gate after its distance, whatever the belt did on the way."""

from __future__ import annotations

import threading
import time

import pytest

from aand_edge.runtime import conveyor as module
from aand_edge.runtime.belt import CountedBelt, SteadyBelt
from aand_edge.runtime.conveyor import Conveyor, Travel
from aand_edge.runtime.encoders.base import Pulses
from aand_edge.runtime.events import Event, Noticed, Pulsed
from aand_edge.runtime.stopping import Deadline
from tests.broker import until
from tests.unit.runtime.test_conveyor import Moves, opened, pulsed

MM = 0.5  # a pulse


class Wheel:
    """An encoder that a test turns."""

    name = "wheel"

    def __init__(self) -> None:
        self.running = False

    def start(self, pulses: Pulses) -> None:
        self.pulses, self.running = pulses, True
        pulses.counted(time.monotonic(), 0)

    def stop(self, end: Deadline) -> None:
        self.running = False

    def turn(self, pulses: int, rate: float) -> None:
        """One by one, so many a second."""
        due = time.monotonic()
        for _ in range(pulses):
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
            self.pulses.counted(time.monotonic(), 1)


def counted(lead_s: float = 0.0, told: list[Event] | None = None) -> tuple[Wheel, CountedBelt, float]:
    """A belt that stands at 0, and the moment when it began to."""
    wheel = Wheel()
    belt = CountedBelt(wheel, MM, (told if told is not None else []).append, lead_s)
    belt.start(lambda: None)
    return wheel, belt, time.monotonic()


def steps(belt: CountedBelt, start: float, *moments: float, pulses: int = 1) -> None:
    for moment in moments:
        belt.counted(start + moment, pulses)


def test_a_steady_belt_goes_by_the_clock() -> None:
    belt = SteadyBelt(200, lead_s=0.01)
    place = belt.at(10.0)
    assert place == 2000
    assert belt.due(place + 400) == pytest.approx(11.99)


def test_a_place_of_the_past_lies_between_its_pulses() -> None:
    _, belt, start = counted()
    steps(belt, start, 0.1, 0.2, 0.3)
    assert belt.at(start - 1) == 0
    assert belt.at(start + 0.15) == pytest.approx(0.75)
    assert belt.at(start + 0.2) == pytest.approx(1.0)


def test_between_pulses_it_goes_on_but_no_further_than_the_last_brought_it() -> None:
    _, belt, start = counted()
    steps(belt, start, 0.1, 0.2, 0.3)
    assert belt.at(start + 0.34) == pytest.approx(1.5 + 0.2)
    assert belt.at(start + 60) == pytest.approx(2.0)


def test_it_foresees_what_lies_within_the_next_pulse_alone() -> None:
    _, belt, start = counted()
    steps(belt, start, 0.1, 0.2, 0.3)
    assert belt.due(1.25) == pytest.approx(start + 0.25), "it has passed"
    assert belt.due(1.75) == pytest.approx(start + 0.35)
    assert belt.due(2.1) is None


def test_the_actuators_time_is_a_way_at_the_belts_speed() -> None:
    _, belt, start = counted(lead_s=0.2)
    steps(belt, start, -0.4, -0.3, -0.2, -0.1, 0.0)  # 5 mm/s, so it is told 1 mm before
    assert belt.due(3.75) == pytest.approx(start + 0.05)
    assert belt.due(4.1) is None


def test_a_belt_that_stands_needs_no_lead() -> None:
    _, belt, start = counted(lead_s=0.2)
    steps(belt, start - 60, 0.1, 0.2, 0.3, 0.4)
    assert belt.due(2.75) is None


def test_a_standstill_is_no_slow_way_to_the_next_pulse() -> None:
    _, belt, start = counted()
    steps(belt, start - 60, 0.1, 0.2)
    steps(belt, start, 0.0)
    assert belt.due(1.4) == start, "it came there with the pulse that ended the standstill"


def test_a_counter_that_is_polled_tells_when_it_stood() -> None:
    _, belt, start = counted()
    belt.counted(start + 0.1, 10)
    for each in range(100):
        belt.counted(start + 0.2 + each / 10, 0)
    belt.counted(start + 10.2, 10)
    assert len(belt._samples) < 6, "a standstill takes no memory"
    assert belt.at(start + 5) == pytest.approx(5.0)
    assert belt.due(7.5) == pytest.approx(start + 10.15)


def test_a_belt_that_runs_back_brings_its_part_twice_as_late() -> None:
    _, belt, start = counted()
    steps(belt, start, 0.1, 0.2)
    belt.counted(start + 0.3, -2)
    assert belt.at(start + 0.4) == 0
    assert belt.due(1.5) is None
    steps(belt, start, 0.5, 0.6, 0.7)
    assert belt.due(1.5) == pytest.approx(start + 0.7)


def running(wheel: Wheel, events: list[Event], gate: Moves, distance: float, pulse_s: float = 0.2) -> Conveyor:
    return Conveyor(gate, CountedBelt(wheel, MM, events.append), Travel(distance, pulse_s), events.append)


def test_a_part_comes_after_its_distance_though_the_belt_stops_and_changes_speed() -> None:
    wheel, events, gate = Wheel(), list[Event](), Moves()
    with running(wheel, events, gate, 20.0) as conveyor:
        wheel.turn(10, 400)
        conveyor.reject("a", 1, time.monotonic())
        wheel.turn(20, 400)
        time.sleep(0.2)
        assert opened(gate) == [], "half-way, the belt stands"
        wheel.turn(18, 100)
        assert opened(gate) == []
        wheel.turn(4, 100)
        until(lambda: len(opened(gate)) == 1)
    told = pulsed(events)[1]
    assert (told.late, told.missed, told.merged) == (False, False, False)
    assert 0 <= told.jitter_ms < 100, "measured from when the belt was there"
    assert not wheel.running


def test_a_part_that_failed_before_it_came_is_pushed_off_where_it_is_then() -> None:
    """As one that is refused in a burst at the light barrier, on a belt that stops before it is at the camera."""
    wheel, events, gate = Wheel(), list[Event](), Moves()
    with running(wheel, events, gate, 10.0) as conveyor:
        wheel.turn(10, 400)
        conveyor.reject("a", 1, time.monotonic() + 0.4)
        wheel.turn(40, 400)
        time.sleep(0.4)
        assert opened(gate) == [], "20 mm on, but it was not before the camera until now"
        wheel.turn(18, 400)
        assert opened(gate) == []
        wheel.turn(4, 400)
        until(lambda: len(opened(gate)) == 1)
    assert (pulsed(events)[1].late, pulsed(events)[1].missed) == (False, False)


def test_a_part_that_is_to_come_when_it_ends_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.02)
    wheel, events = Wheel(), list[Event]()
    with running(wheel, events, Moves(), 10.0) as conveyor:
        conveyor.reject("a", 1, time.monotonic() + 60)
    assert pulsed(events)[1].missed


def test_overlapping_pulses_merge_and_order_is_the_belts() -> None:
    wheel, events, gate = Wheel(), list[Event](), Moves()
    with running(wheel, events, gate, 10.0, pulse_s=0.2) as conveyor:
        moments = []
        for _ in range(3):
            moments.append(time.monotonic())
            wheel.turn(4, 400)
        for number in (2, 0, 1):
            conveyor.reject("a", number, moments[number])
        wheel.turn(20, 400)
        until(lambda: len(opened(gate)) == 1)
    order = [each.number for each in events if isinstance(each, Pulsed)]
    assert order == [0, 1, 2]
    assert [each.merged for each in events if isinstance(each, Pulsed)] == [False, True, True]


def test_a_verdict_that_comes_after_the_part_has_passed_is_late() -> None:
    wheel, events, gate = Wheel(), list[Event](), Moves()
    with running(wheel, events, gate, 5.0) as conveyor:
        wheel.turn(3, 400)
        captured = time.monotonic()
        wheel.turn(15, 400)
        time.sleep(0.05)
        conveyor.reject("a", 1, captured)
    told = pulsed(events)[1]
    assert (told.late, told.missed) == (True, True)
    assert opened(gate) == []


def test_parts_are_missed_where_the_encoder_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel, events, gate = Wheel(), list[Event](), Moves()
    with running(wheel, events, gate, 10.0) as conveyor:
        wheel.turn(4, 400)
        conveyor.reject("a", 1, time.monotonic())
        wheel.pulses.lost("no answer")
        until(lambda: 1 in pulsed(events))
        conveyor.reject("a", 2, time.monotonic())
        wheel.pulses.counted(time.monotonic(), 0)
        wheel.turn(4, 400)
        conveyor.reject("a", 3, time.monotonic())
        wheel.turn(22, 400)
        until(lambda: 3 in pulsed(events))
    assert {number: each.missed for number, each in pulsed(events).items()} == {1: True, 2: True, 3: False}
    told = [each for each in events if isinstance(each, Noticed)]
    assert [each.level for each in told] == ["error", "info"]
    assert "The encoder wheel is away (no answer): parts on the belt are not pushed off" in told[0].text


class Unread(Wheel):
    """An encoder that does not count yet."""

    def start(self, pulses: Pulses) -> None:
        self.pulses, self.running = pulses, True


def test_parts_are_missed_until_the_encoder_counts() -> None:
    """Nobody knows how far the belt brought them meanwhile, and the gate would hit others."""
    wheel, events, gate = Unread(), list[Event](), Moves()
    with running(wheel, events, gate, 10.0) as conveyor:
        conveyor.reject("a", 1, time.monotonic())
        assert pulsed(events)[1].missed
        wheel.pulses.counted(time.monotonic(), 0)
        wheel.turn(4, 400)
        conveyor.reject("a", 2, time.monotonic())
        wheel.turn(22, 400)
        until(lambda: 2 in pulsed(events))
    assert {number: each.missed for number, each in pulsed(events).items()} == {1: True, 2: False}
    assert len(opened(gate)) == 1
    assert [each for each in events if isinstance(each, Noticed)] == [], "it was never away"


def test_an_encoder_that_never_counted_is_told_to_be_away_and_to_be_back() -> None:
    wheel, events = Unread(), list[Event]()
    with running(wheel, events, Moves(), 10.0):
        wheel.pulses.lost("no answer")
        wheel.pulses.counted(time.monotonic(), 0)
    assert [each.level for each in events if isinstance(each, Noticed)] == ["error", "info"]


def test_parts_on_a_belt_that_stands_are_told_when_the_loop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.02)
    wheel, events = Wheel(), list[Event]()
    with running(wheel, events, Moves(), 10.0) as conveyor:
        conveyor.reject("a", 1, time.monotonic())
    assert pulsed(events)[1].missed


def test_pulses_while_parts_come_from_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is told once, and none early."""
    wheel, events, gate = Wheel(), list[Event](), Moves()
    with running(wheel, events, gate, 10.0, pulse_s=0.001) as conveyor:
        turning = threading.Thread(target=wheel.turn, args=(500, 1000))
        turning.start()
        for number in range(20):
            time.sleep(0.01)
            conveyor.reject("a", number, time.monotonic())
        turning.join()
        until(lambda: len(pulsed(events)) == 20)
    assert all(each.jitter_ms >= 0 for each in pulsed(events).values())
