"""A gate and an encoder over Modbus TCP, at a real server that goes away, comes back, or says nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aand_edge.errors import GateError, MissingDependencyError, UsageError
from aand_edge.runtime import conveyor as module
from aand_edge.runtime import modbus
from aand_edge.runtime.belt import SteadyBelt
from aand_edge.runtime.conveyor import Conveyor, Travel
from aand_edge.runtime.encoders import modbus as polled
from aand_edge.runtime.encoders.gpio import GpioEncoder
from aand_edge.runtime.encoders.modbus import ModbusEncoder
from aand_edge.runtime.encoders.simulated import SimulatedEncoder
from aand_edge.runtime.encoders.uri import open_encoder
from aand_edge.runtime.events import Event, Noticed, Pulsed
from aand_edge.runtime.gates.modbus import ModbusGate
from aand_edge.runtime.gates.uri import open_gate
from aand_edge.runtime.modbus import ModbusLink, ModbusPlace
from aand_edge.runtime.stopping import Deadline
from tests.broker import until
from tests.mute import Mute
from tests.unit.runtime.test_conveyor import pulsed

pytest.importorskip("pymodbus", reason="pymodbus is not installed")

from pymodbus.client import ModbusTcpClient

from tests.pins import Pins
from tests.plc import Plc


@pytest.fixture
def plc() -> Iterator[Plc]:
    made = Plc()
    made.start()
    yield made
    made.deaf = False
    made.stop()


def at_once(gate: str, events: list[Event]) -> Conveyor:
    return Conveyor(open_gate(gate, Path()), SteadyBelt(1.0), Travel(0.0, 0.05), events.append)


def test_a_rejected_part_sets_the_coil_for_the_pulse(plc: Plc) -> None:
    events = list[Event]()
    with at_once(f"modbus://127.0.0.1:{plc.port}/coil/3", events) as conveyor:
        until(lambda: plc.positions == [False])
        conveyor.reject("a", 1, time.monotonic())
        until(lambda: plc.positions == [False, True, False])
    (up, _), (down, _) = plc.coil[1:3]
    assert 0.02 < down - up < 0.5
    assert not pulsed(events)[1].missed
    assert plc.positions[-1] is False


def test_low_may_reject(plc: Plc) -> None:
    with open_gate(f"modbus://127.0.0.1:{plc.port}/coil/3?unit=1&active_low=1", Path()) as gate:
        gate.set(True)
        gate.set(False)
    assert plc.positions == [False, True]


def test_a_coil_that_there_is_not_is_told(plc: Plc) -> None:
    with (
        open_gate(f"modbus://127.0.0.1:{plc.port}/coil/99", Path()) as gate,
        pytest.raises(GateError, match=r"coil/99 is refused \(Modbus exception 2\)"),
    ):
        gate.set(True)


def test_a_plc_that_goes_away_and_comes_back_knows_the_position_again(
    plc: Plc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    monkeypatch.setattr("aand_edge.runtime.gates.modbus.ModbusGate.refresh_s", 0.05)
    events = list[Event]()
    with at_once(f"modbus://127.0.0.1:{plc.port}/coil/3", events) as conveyor:
        until(lambda: len(plc.positions) > 2)
        plc.stop()
        until(lambda: any(isinstance(each, Noticed) for each in events))
        conveyor.reject("a", 1, time.monotonic())
        until(lambda: 1 in pulsed(events))
        written = len(plc.positions)
        plc.start()
        until(lambda: len(plc.positions) > written)
        conveyor.reject("a", 2, time.monotonic())
        until(lambda: True in plc.positions[written:])
        until(lambda: plc.positions[-1] is False)
    assert {number: each.missed for number, each in pulsed(events).items()} == {1: True, 2: False}
    told = [each for each in events if isinstance(each, Noticed)]
    assert [each.level for each in told] == ["error", "info"]
    assert f"modbus://127.0.0.1:{plc.port}/coil/3" in told[0].text
    assert capsys.readouterr().err == "", "pymodbus prints each attempt"


def test_a_plc_that_is_off_at_the_start_is_told_and_parts_are_missed() -> None:
    never, events = Plc(), list[Event]()
    with at_once(f"modbus://127.0.0.1:{never.port}/coil/3", events) as conveyor:
        conveyor.reject("a", 1, time.monotonic())
        until(lambda: 1 in pulsed(events))
    assert pulsed(events)[1].missed
    assert [each.level for each in events if isinstance(each, Noticed)] == ["error"]


def test_a_plc_that_says_nothing_holds_the_conveyor_up_for_its_time_out_alone(plc: Plc) -> None:
    plc.deaf = True
    with open_gate(f"modbus://127.0.0.1:{plc.port}/coil/3?timeout_ms=50", Path()) as gate:
        start = time.monotonic()
        with pytest.raises(GateError, match="gives no answer"):
            gate.set(True)
        assert 0.04 < time.monotonic() - start < 2


@pytest.fixture
def mute() -> Iterator[Mute]:
    """A PLC that confirms one write and nothing more."""
    made = Mute(echoes=1)
    yield made
    made.close()


def test_a_plc_that_owes_an_answer_is_told_to_close_the_gate_all_the_same(mute: Mute) -> None:
    events = list[Event]()
    with at_once(f"modbus://127.0.0.1:{mute.port}/coil/3?timeout_ms=10000", events) as conveyor:
        until(lambda: mute.coil == [False])
        conveyor.reject("a", 1, time.monotonic())
        until(lambda: mute.coil == [False, True])
        conveyor.reject("a", 2, time.monotonic())
        conveyor.reject("a", 3, time.monotonic() + 60)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 5, "ten seconds for an answer, and ten for the next"
    assert sorted((each.number, each.missed) for each in events if isinstance(each, Pulsed)) == [
        (1, True),
        (2, True),
        (3, True),
    ]
    until(lambda: mute.coil == [False, True, False], 5)
    assert any(isinstance(each, Noticed) and "did not confirm its safe position" in each.text for each in events)


def test_a_counter_that_owes_an_answer_is_not_waited_for() -> None:
    mute = Mute()
    encoder = open_encoder(f"modbus://127.0.0.1:{mute.port}/holding/7?timeout_ms=10000")
    encoder.start(Counter())
    until(lambda: len(mute.heard) == 1)
    end = Deadline(8)
    encoder.stop(end)
    assert end.left > 0
    mute.close()


def test_an_answer_without_registers_is_a_fault_as_none_is(mute: Mute) -> None:
    """An echo passes for an answer, and the encoder's thread is to survive it."""
    link = ModbusLink(ModbusPlace("127.0.0.1", mute.port, "holding", 7))
    with pytest.raises(ConnectionError, match="answers with 0 registers in place of 1"):
        link.read(1)


def strange(monkeypatch: pytest.MonkeyPatch, link: ModbusLink, name: str) -> None:
    """From its next call on the client raises what none is to raise; a new client does not."""
    client = link._client

    def ask(*given: object, **named: object) -> None:
        raise UnicodeError("label empty or too long")

    def close() -> None:
        ModbusTcpClient.close(client)
        raise AttributeError("no transport")

    monkeypatch.setattr(client, name, ask)
    monkeypatch.setattr(client, "close", close)


def test_whatever_pymodbus_raises_the_gate_is_told_again(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    events, gate = list[Event](), open_gate(f"modbus://127.0.0.1:{plc.port}/coil/3", Path())
    assert isinstance(gate, ModbusGate)
    with Conveyor(gate, SteadyBelt(1.0), Travel(0.0, 0.05), events.append) as conveyor:
        until(lambda: plc.positions == [False])
        strange(monkeypatch, gate._link, "write_coil")
        conveyor.reject("a", 1, time.monotonic())
        until(lambda: plc.positions[-2:] == [True, False])
    assert not pulsed(events)[1].missed


def test_whatever_pymodbus_raises_the_counter_is_read_again(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polled, "RETRY_S", 0.02)
    plc.count, counter = 100, Counter()
    encoder = open_encoder(f"modbus://127.0.0.1:{plc.port}/input/7?poll_ms=5")
    assert isinstance(encoder, ModbusEncoder)
    encoder.start(counter)
    time.sleep(0.1)
    strange(monkeypatch, encoder._link, "read_input_registers")
    plc.count = 110
    until(lambda: counter.pulses == 10)
    encoder.stop(Deadline(5))


def test_what_pymodbus_raises_is_told(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    link = ModbusLink(ModbusPlace("127.0.0.1", plc.port, "coil", 3))
    link.write(on=True)
    monkeypatch.setattr(link._client, "write_coil", lambda *given, **named: int("three"))
    with pytest.raises(ConnectionError, match=r"gives no answer \(invalid literal for int"):
        link.write(on=False)


class Counter:
    """Who hears an encoder."""

    def __init__(self) -> None:
        self.pulses, self.calls, self.told = 0, 0, list[str]()

    def counted(self, moment: float, pulses: int) -> None:
        assert moment <= time.monotonic()
        self.calls += 1
        self.pulses += pulses

    def lost(self, reason: str) -> None:
        self.told.append(reason)


@pytest.mark.parametrize(("address", "start", "end"), [("7", 65530, 65546), ("6?bits=32", 2**32 - 6, 10)])
def test_a_counter_is_followed_when_it_runs_over(plc: Plc, address: str, start: int, end: int) -> None:
    plc.count, counter = start, Counter()
    encoder = open_encoder(f"modbus://127.0.0.1:{plc.port}/holding/{address}")
    encoder.start(counter)
    time.sleep(0.1)
    assert counter.pulses == 0, "where the counter stands at the start is 0"
    plc.count = end
    until(lambda: counter.pulses == 16)
    plc.count = end - 6
    until(lambda: counter.pulses == 10)
    encoder.stop(Deadline(5))
    assert counter.told == []


def test_a_counter_that_was_away_for_long_begins_anew(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polled, "TRUST_S", 0.3)
    monkeypatch.setattr(polled, "RETRY_S", 0.02)
    plc.count, counter = 100, Counter()
    encoder = open_encoder(f"modbus://127.0.0.1:{plc.port}/input/7?poll_ms=5&timeout_ms=100")
    encoder.start(counter)
    time.sleep(0.1)
    plc.count = 110
    until(lambda: counter.pulses == 10)
    plc.stop()
    until(lambda: len(counter.told) == 1)
    plc.count = 3
    plc.start()
    time.sleep(0.2)
    plc.count = 5
    until(lambda: counter.pulses == 12)
    encoder.stop(Deadline(5))
    assert len(counter.told) == 1


def test_a_counter_that_was_never_read_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polled, "TRUST_S", 0.1)
    monkeypatch.setattr(polled, "RETRY_S", 0.02)
    never, counter = Plc(), Counter()
    encoder = open_encoder(f"modbus://127.0.0.1:{never.port}/input/7?timeout_ms=100")
    encoder.start(counter)
    until(lambda: len(counter.told) == 1)
    time.sleep(0.3)
    encoder.stop(Deadline(5))
    assert counter.told == [f"modbus://127.0.0.1:{never.port}/input/7 cannot be connected"]
    assert counter.calls == 0


def test_a_simulated_encoder_counts_at_its_rate() -> None:
    counter, encoder = Counter(), open_encoder("simulated:2000")
    assert isinstance(encoder, SimulatedEncoder)
    start = time.monotonic()
    encoder.start(counter)
    until(lambda: counter.pulses > 200)
    encoder.stop(Deadline(5))
    assert counter.pulses <= 2000 * (time.monotonic() - start)


def test_each_edge_of_a_pin_is_a_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a stand-in with the calls that Jetson.GPIO documents."""
    pins, counter = Pins(monkeypatch), Counter()
    encoder = open_encoder("gpio://16?edge=falling")
    assert isinstance(encoder, GpioEncoder)
    encoder.start(counter)
    assert pins.seen[-1] == (16, "FALLING", None)
    assert counter.calls == 1, "a belt that stands gives no edge, and where it is is known all the same"
    for _ in range(3):
        pins.callbacks[16](16)
    encoder.stop(Deadline(5))
    assert (counter.pulses, pins.callbacks) == (3, {})


@pytest.mark.parametrize(
    "uri",
    [
        "wheel",
        "simulated:",
        "simulated:-1",
        "simulated:inf",
        "500",
        "gpio://top",
        "gpio://16?edge=both",
        "gpio://16?debounce_ms=5",
        "modbus://plc/coil/3",
        "modbus://plc/holding/3?bits=64",
        "modbus://plc/holding/3?poll_ms=0",
        "modbus://plc/holding",
        "modbus://me:secret@plc/holding/3",
        "modbus://plc..local/holding/3",
    ],
)
def test_what_is_no_encoder_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="There is no encoder") as raised:
        open_encoder(uri)
    assert "secret" not in str(raised.value)


def test_without_pymodbus_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"aand-edge\[plc\]"):
        open_gate("modbus://plc/coil/3", Path())
