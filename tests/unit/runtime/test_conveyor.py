"""The gate is open exactly while a rejected part stands before it, and each part is told once."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Literal

import pytest

from aand_edge.errors import GateError, MissingDependencyError, UsageError
from aand_edge.runtime import conveyor as module
from aand_edge.runtime.belt import SteadyBelt
from aand_edge.runtime.conveyor import Conveyor, Travel
from aand_edge.runtime.events import Event, Noticed, Pulsed
from aand_edge.runtime.gates.base import Gate
from aand_edge.runtime.gates.gpio import GpioGate
from aand_edge.runtime.gates.simulated import SimulatedGate
from aand_edge.runtime.gates.uri import open_gate
from tests.broker import until


class Moves(SimulatedGate):
    """Remembers when it moved; fails as often as a test says."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.moves: list[tuple[float, bool]] = []
        self.failures, self.connected = failures, 0

    def __enter__(self) -> Moves:
        self.connected += 1
        return self

    def set(self, rejecting: bool) -> None:
        if rejecting and self.failures:
            self.failures -= 1
            raise GateError("the gate does not answer")
        self.moves.append((time.monotonic(), rejecting))
        self.rejecting = rejecting


def conveyor(
    gate: Gate,
    events: list[Event],
    seconds: float,
    pulse_s: float = 0.08,
    lead_s: float = 0.0,
    late: Literal["skip", "pulse-now"] = "skip",
) -> Conveyor:
    """So many seconds from the camera to the gate."""
    return Conveyor(gate, SteadyBelt(200, lead_s), Travel(200 * seconds, pulse_s), events.append, late)


def pulsed(events: list[Event]) -> dict[int, Pulsed]:
    return {event.number: event for event in events if isinstance(event, Pulsed)}


def opened(gate: Moves) -> list[tuple[float, float]]:
    """From when to when it was open."""
    moves = [each for each in gate.moves[1:] if each[1]], [each for each in gate.moves[1:] if not each[1]]
    return [(up, down) for (up, _), (down, _) in zip(*moves, strict=False)]


def test_each_part_is_pushed_off_at_its_own_time() -> None:
    gate, events = Moves(), list[Event]()
    start = time.monotonic()
    with conveyor(gate, events, 0.4, 0.2, 0.01) as belt:
        belt.reject("a", 1, start)
        belt.reject("a", 2, start + 0.4)
        until(lambda: len(opened(gate)) == 2)
    spans = opened(gate)
    assert [up - start for up, _ in spans] == pytest.approx([0.39, 0.79], abs=0.15)
    assert [down - up for up, down in spans] == pytest.approx([0.2, 0.2], abs=0.15)
    assert not gate.rejecting
    told = pulsed(events)
    assert {number: (each.late, each.merged, each.missed) for number, each in told.items()} == {
        1: (False, False, False),
        2: (False, False, False),
    }
    assert all(0 <= each.jitter_ms < 150 for each in told.values())


def test_overlapping_pulses_are_one() -> None:
    gate, events = Moves(), list[Event]()
    start = time.monotonic()
    with conveyor(gate, events, 0.2, 0.2) as belt:
        for number in range(3):
            belt.reject("a", number, start + 0.03 * number)
        until(lambda: len(opened(gate)) == 1)
    ((up, down),) = opened(gate)
    assert down - up == pytest.approx(0.26, abs=0.15)
    assert [each.merged for _, each in sorted(pulsed(events).items())] == [False, True, True]


@pytest.mark.parametrize(("late", "moves"), [("skip", 0), ("pulse-now", 1)])
def test_a_part_that_has_passed_is_told_and_goes_the_stated_way(late: str, moves: int) -> None:
    gate, events = Moves(), list[Event]()
    with conveyor(gate, events, 0.1, 0.01, late="skip" if late == "skip" else "pulse-now") as belt:
        belt.reject("a", 5, time.monotonic() - 0.3)
    told = pulsed(events)[5]
    assert (told.late, told.missed) == (True, not moves)
    assert len(opened(gate)) == moves


def test_without_a_distance_the_gate_opens_at_once() -> None:
    gate, events = Moves(), list[Event]()
    with conveyor(gate, events, 0, 0.01) as belt:
        belt.reject("a", 0, time.monotonic() - 0.5)
    assert (pulsed(events)[0].late, pulsed(events)[0].missed, len(opened(gate))) == (False, False, 1)


@pytest.mark.parametrize("safe", [True, False])
def test_where_nobody_judges_the_gate_stays_in_its_safe_position(safe: bool) -> None:
    gate, events = Moves(), list[Event]()
    with conveyor(gate, events, 5.0) as belt:
        belt.reject("a", 1, time.monotonic())
        belt.fail_safe(safe)
    assert gate.rejecting is safe
    assert pulsed(events)[1].missed, "the part in flight is told"


def test_parts_in_flight_are_bounded_and_told_when_the_loop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 3)
    monkeypatch.setattr(module, "DRAIN_S", 0.05)
    gate, events = Moves(), list[Event]()
    with conveyor(gate, events, 60.0) as belt:
        for number in range(5):
            belt.reject("a", number, time.monotonic())
    assert {number: each.missed for number, each in pulsed(events).items()} == dict.fromkeys(range(5), True)


@pytest.mark.parametrize(("failures", "missed"), [(1, False), (2, True)])
def test_a_gate_that_does_not_answer_is_connected_afresh_once(failures: int, missed: bool) -> None:
    gate, events = Moves(failures), list[Event]()
    with conveyor(gate, events, 0.0, 0.01) as belt:
        belt.reject("a", 1, time.monotonic())
    assert gate.connected == 2
    assert pulsed(events)[1].missed is missed
    assert any(isinstance(each, Noticed) and "did not move" in each.text for each in events) is missed


class Strange(Moves):
    """Raises once what no gate is to raise, as a driver may."""

    def set(self, rejecting: bool) -> None:
        if rejecting and self.failures:
            self.failures -= 1
            raise ValueError("The channel sent is invalid")
        super().set(rejecting)


@pytest.mark.parametrize(("failures", "missed"), [(1, False), (2, True)])
def test_whatever_a_driver_raises_the_gate_is_told_again(failures: int, missed: bool) -> None:
    gate, events = Strange(failures), list[Event]()
    with conveyor(gate, events, 0.0, 0.01) as belt:
        belt.reject("a", 1, time.monotonic())
        until(lambda: 1 in pulsed(events))
        belt.reject("a", 2, time.monotonic())
        until(lambda: 2 in pulsed(events))
    assert [each.missed for _, each in sorted(pulsed(events).items())] == [missed, False]
    told = [each.text for each in events if isinstance(each, Noticed) and each.level == "error"]
    assert ["simulated failed: The channel sent is invalid" in each for each in told] == [True] * missed
    assert not gate.rejecting


class Torn(SteadyBelt):
    """A belt with a fault that nobody foresaw."""

    torn = False

    def due(self, place: float) -> float | None:
        if self.torn:
            raise ZeroDivisionError("float division by zero")
        return super().due(place)


def test_a_thread_that_breaks_tells_so_and_every_part_is_missed() -> None:
    gate, events, torn = Moves(), list[Event](), Torn(200)
    with Conveyor(gate, torn, Travel(2000), events.append) as belt:
        belt.reject("a", 1, time.monotonic())
        torn.torn = True
        belt._look()
        until(lambda: any(isinstance(each, Noticed) for each in events))
        torn.torn = False
        belt.reject("a", 2, time.monotonic())
    assert [each.missed for _, each in sorted(pulsed(events).items())] == [True, True]
    (told,) = (each for each in events if isinstance(each, Noticed))
    assert told.level == "error"
    assert "The gate is moved no more (float division by zero)" in told.text
    assert not gate.rejecting


class Away(Moves):
    """Answers neither way while it is away."""

    away = False

    def set(self, rejecting: bool) -> None:
        if self.away:
            raise GateError("the gate does not answer")
        super().set(rejecting)


def test_a_gate_that_went_away_while_it_was_open_is_closed_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    gate, events = Away(), list[Event]()
    with conveyor(gate, events, 0.0, 0.05) as belt:
        belt.reject("a", 1, time.monotonic())
        until(lambda: gate.rejecting)
        gate.away = True
        until(lambda: any(isinstance(each, Noticed) for each in events))
        belt.reject("a", 2, time.monotonic())
        until(lambda: 2 in pulsed(events))
        time.sleep(0.1)
        gate.away = False
        until(lambda: not gate.rejecting)
    assert [each.missed for _, each in sorted(pulsed(events).items())] == [False, True]
    told = [each for each in events if isinstance(each, Noticed)]
    assert [each.level for each in told] == ["error", "info"], "told once, however often it is tried"
    assert [rejecting for _, rejecting in gate.moves if rejecting] == [True], "not opened late for the missed part"


def test_a_position_is_told_again_where_the_gate_wants_it() -> None:
    gate = Moves()
    gate.refresh_s = 0.02
    with conveyor(gate, [], 1.0):
        until(lambda: len(gate.moves) > 4)
    assert {rejecting for _, rejecting in gate.moves} == {False}


class Slow(Moves):
    """Answers after a while, once."""

    def set(self, rejecting: bool) -> None:
        if rejecting and not self.moves[-1][1] and len(self.moves) == 1:
            time.sleep(0.3)
        super().set(rejecting)


@pytest.mark.parametrize(("late", "missed"), [("skip", True), ("pulse-now", False)])
def test_a_part_that_passes_while_the_gate_is_slow_is_late(late: str, missed: bool) -> None:
    gate, events = Slow(), list[Event]()
    start = time.monotonic()
    with conveyor(gate, events, 0.05, 0.02, late="skip" if late == "skip" else "pulse-now") as belt:
        belt.reject("a", 1, start)
        belt.reject("a", 2, start + 0.1)
        until(lambda: len(pulsed(events)) == 2)
    told = pulsed(events)[2]
    assert (told.late, told.missed) == (True, missed)


def test_a_simulated_gate_writes_down_its_moves(tmp_path: Path) -> None:
    with open_gate("simulated:gate.log", tmp_path) as gate:
        gate.set(True)
        gate.set(False)
    lines = [json.loads(line) for line in (tmp_path / "gate.log").read_text().splitlines()]
    assert [line["rejecting"] for line in lines] == [True, False]
    with pytest.raises(GateError, match="cannot be written"), open_gate("simulated:none/gate.log", tmp_path):
        pass


@pytest.mark.parametrize(
    "uri",
    [
        "relay://1",
        "gpio://top",
        "gpio://7?high=1",
        "simulated",
        "modbus://plc/holding/3",
        "modbus://plc/coil/three",
        "modbus://plc/coil/65536",
        "modbus://plc/coil/3?bits=32",
        "modbus://plc/coil/3?unit=300",
        "modbus://me:secret@plc/coil/3",
        "modbus:///coil/3",
        "modbus://plc..local/coil/3",
        f"modbus://{64 * 'p'}/coil/3",
    ],
)
def test_what_is_no_gate_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError, match="There is no gate") as raised:
        open_gate(uri, tmp_path)
    assert "secret" not in str(raised.value)


def test_a_gates_port_out_of_range_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="The port of 'modbus://plc:99999' is out of range"):
        open_gate("modbus://plc:99999/coil/3", tmp_path)


@pytest.mark.parametrize(("uri", "levels"), [("gpio://18", [0, 1, 0]), ("gpio://18?active_low=1", [1, 0, 1])])
def test_a_pin_moves_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, levels: list[int]) -> None:
    """Over a stand-in with the calls that Jetson.GPIO documents."""
    seen: list[int] = []
    cleaned: list[int] = []
    gpio = SimpleNamespace(
        BOARD="BOARD",
        OUT="OUT",
        HIGH=1,
        LOW=0,
        setmode=lambda mode: None,
        setup=lambda pin, way, initial: seen.append(initial),
        output=lambda pin, level: seen.append(level),
        cleanup=cleaned.append,
    )
    monkeypatch.setitem(sys.modules, "Jetson", ModuleType("Jetson"))
    monkeypatch.setitem(sys.modules, "Jetson.GPIO", gpio)  # type: ignore[arg-type]
    with open_gate(uri, tmp_path) as gate:
        gate.set(True)
        gate.set(False)
    assert (seen, cleaned) == (levels, [18])


def test_without_jetson_gpio_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "Jetson.GPIO", None)
    with pytest.raises(MissingDependencyError, match=r"aand-edge\[gpio\]"):
        GpioGate(7)
