"""What calls: a port, a topic of a real broker that goes away and comes back, a pin."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from aand_edge.errors import AandEdgeError, MissingDependencyError, UsageError
from aand_edge.runtime.events import Noticed
from aand_edge.runtime.mqtt import MqttBroker
from aand_edge.runtime.triggers import mqtt as module
from aand_edge.runtime.triggers.gpio import GpioLine
from aand_edge.runtime.triggers.line import PART, Line, part_id
from aand_edge.runtime.triggers.mqtt import MqttLine
from aand_edge.runtime.triggers.tcp import CLIENTS, KEEP_ALIVE, LONGEST, TcpLine
from aand_edge.runtime.triggers.uri import open_triggers
from tests.broker import Broker, until
from tests.pins import Pins

Calls = list[tuple[float, "str | None"]]


@contextmanager
def heard(line: Line, takes: Callable[[], bool] = lambda: True) -> Iterator[Calls]:
    """What the line calls."""
    calls: Calls = []

    def hearer(moment: float, part: str | None) -> bool:
        calls.append((moment, part))
        return takes()

    line.join(hearer)
    try:
        yield calls
    finally:
        line.leave(hearer)


def parts(calls: Calls) -> list[str | None]:
    return [part for _, part in calls]


@pytest.mark.parametrize(
    ("message", "part"),
    [(b"", None), (b" \r", None), (b"A17\r", "A17"), ("Prüfling 3".encode(), "Prüfling 3"), (b"\xff", "\ufffd")],
)
def test_a_message_is_the_parts_id(message: bytes, part: str | None) -> None:
    assert part_id(message) == part
    assert part_id(b"x" * 1000) == "x" * PART


def test_a_line_of_text_is_a_part() -> None:
    line = TcpLine("127.0.0.1", 0, reply=True)
    taken = iter([True, True, False])
    with heard(line, lambda: next(taken)) as calls:
        before = time.monotonic()
        with socket.create_connection(("127.0.0.1", line.port), 5) as first:
            first.sendall(b"A17\r\nA1")
            assert first.recv(64) == b"ok\n"
            with socket.create_connection(("127.0.0.1", line.port), 5) as second:
                second.sendall(b"\n")
                assert second.recv(64) == b"ok\n"
            first.sendall(b"8\n")
            assert first.recv(64) == b"busy\n"
        assert parts(calls) == ["A17", None, "A18"]
        assert all(before <= moment <= time.monotonic() for moment, _ in calls)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", line.port), 1)
    assert not [each for each in threading.enumerate() if each.name == "aand-trigger-tcp"]


def test_who_sends_no_line_is_sent_away() -> None:
    line = TcpLine("127.0.0.1", 0)
    with heard(line) as calls:
        with socket.create_connection(("127.0.0.1", line.port), 5) as client:
            with suppress(OSError):
                client.sendall(b"x" * (LONGEST + 1))
            gone(client)
        assert calls == []


def test_a_new_client_is_heard_in_place_of_the_longest_silent_which_is_told() -> None:
    """As when a PLC has lost its power eight times, and left a connection each time."""
    told = list[Noticed]()
    line = TcpLine("127.0.0.1", 0, tell=told.append)
    with heard(line) as calls, ExitStack() as stack:

        def joined() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", line.port), 5))

        crowd = [joined() for _ in range(CLIENTS)]
        until(lambda: len(line._clients) == CLIENTS)
        crowd[0].sendall(b"first\n")
        until(lambda: parts(calls) == ["first"])
        joined().sendall(b"new\n")
        until(lambda: parts(calls) == ["first", "new"])
        gone(crowd[1])
        joined()
        gone(crowd[2])
        crowd[0].sendall(b"still heard\n")
        until(lambda: parts(calls) == ["first", "new", "still heard"])
    assert [each.level for each in told] == ["warning"]
    assert f"tcp://127.0.0.1:{line.port} has {CLIENTS} clients" in told[0].text


def test_a_client_that_says_nothing_is_asked_whether_it_is_there() -> None:
    line = TcpLine("127.0.0.1", 0)
    with heard(line), socket.create_connection(("127.0.0.1", line.port), 5):
        until(lambda: len(line._clients) == 1)
        (client,) = line._clients
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):
                assert client.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value


def gone(client: socket.socket) -> None:
    with suppress(ConnectionResetError):
        assert client.recv(1) == b""


def test_a_port_that_someone_else_has_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        line = TcpLine("127.0.0.1", other.getsockname()[1])
        with pytest.raises(AandEdgeError, match=r"heard at 127\.0\.0\.1:\d+ \(Address already in use") as raised:
            line.join(lambda moment, part: True)
    assert raised.value.exit_code == 1


def published(port: int, payload: bytes, retain: bool = False) -> None:
    from paho.mqtt import publish

    publish.single("line1/part", payload, qos=1, retain=retain, hostname="127.0.0.1", port=port)


def test_a_message_is_a_part_and_a_broker_that_was_away_is_found_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITS_S", (0.05, 0.2))
    told = list[Noticed]()
    published(broker.port, b"long ago", retain=True)
    line = MqttLine(MqttBroker("127.0.0.1", broker.port), "line1/part", told.append)
    with heard(line) as calls:
        until(lambda: line._listening)
        published(broker.port, b"A17")
        until(lambda: parts(calls) == ["A17"])
        broker.kill()
        until(lambda: len(told) == 1)
        time.sleep(0.5)
        broker.start()
        until(lambda: len(told) == 2)
        published(broker.port, b"")
        until(lambda: parts(calls) == ["A17", None])
    assert [each.level for each in told] == ["error", "info"]
    assert f"The trigger mqtt://127.0.0.1:{broker.port}/line1/part is away (The connection was lost): " in told[0].text
    assert "no part is judged" in told[0].text


def test_a_broker_that_was_never_there_is_told_once_and_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    monkeypatch.setattr(module, "WAITS_S", (0.01, 0.02))
    told = list[Noticed]()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        line = MqttLine(MqttBroker("127.0.0.1", free.getsockname()[1]), "line1/part", told.append)
        with heard(line):
            until(lambda: bool(told))
            time.sleep(0.1)
            start = time.monotonic()
    assert time.monotonic() - start < 1
    assert [each.level for each in told] == ["error"]


def test_whatever_paho_raises_is_told_and_the_broker_asked_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITS_S", (0.01, 0.02))
    told = list[Noticed]()
    line = MqttLine(MqttBroker("127.0.0.1", broker.port), "line1/part", told.append)
    line._topic = "line1/part+/x"  # paho refuses it when the broker has answered
    with heard(line) as calls:
        until(lambda: bool(told))
        line._topic = "line1/part"
        until(lambda: line._listening)
        published(broker.port, b"A17")
        until(lambda: parts(calls) == ["A17"])
    assert [each.level for each in told] == ["error", "info"]
    assert "is away (Invalid subscription filter.): no part is judged until it is back" in told[0].text


def test_a_trigger_listens_to_several_topics(broker: Broker) -> None:
    line = MqttLine(MqttBroker("127.0.0.1", broker.port), "+/part", lambda notice: None)
    with heard(line) as calls:
        until(lambda: line._listening)
        published(broker.port, b"A17")
        until(lambda: parts(calls) == ["A17"])


@pytest.mark.parametrize("topic", ["line/part+/x", "line/+part", "line/%23/x", "line/part%23"])
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(UsageError, match="is no MQTT topic to listen to"):
        open_triggers({"a": f"mqtt://broker/{topic}"})


def test_without_paho_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(MissingDependencyError, match=r"aand-edge\[mqtt\]"):
        open_triggers({"a": "mqtt://broker/line1/part"})


def test_an_edge_is_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a stand-in with the calls that Jetson.GPIO documents."""
    pins = Pins(monkeypatch)
    with heard(GpioLine(18, "falling", 5)) as calls:
        assert pins.seen == [("mode", "BOARD"), (18, "IN"), (18, "FALLING", 5)]
        before = time.monotonic()
        pins.callbacks[18](18)
        ((moment, part),) = calls
        assert before <= moment <= time.monotonic()
        assert part is None
    assert pins.callbacks == {}
    with pytest.raises(UsageError, match="gpio://1 cannot be read: Channel 1 is invalid"):
        GpioLine(1).join(lambda moment, part: True)


def test_a_trigger_is_named_in_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    Pins(monkeypatch)
    monkeypatch.setenv("AAND_EDGE_MQTT_PASSWORD", "secret")
    texts = {
        "a": "free",
        "b": "part-gate?line=0.3&axis=y&direction=-1",
        "c": "gpio://18?edge=falling&debounce_ms=5&delay_ms=20",
        "d": "gpio://18?debounce_ms=5&edge=falling&timeout_ms=100",
        "e": "tcp://127.0.0.1:9100?reply=1",
        "f": "mqtt://line1@broker/plant/part",
        "g": "mqtts://broker:9000/plant/part",
        "h": "mqtts://broker/plant/part",
    }
    opened: dict[str, Any] = dict(open_triggers(texts))
    assert opened["a"] is None
    assert type(opened["b"]).__name__ == "PartGate"
    assert opened["c"]._line is opened["d"]._line, "one pin for both cameras"
    assert (opened["c"]._delay, opened["c"]._timeout, opened["d"]._timeout) == (0.02, 0.5, 0.1)
    assert (opened["e"]._line.host, opened["e"]._line.port) == ("127.0.0.1", 9100)
    line = opened["f"]._line
    assert (line._broker, line._topic) == (MqttBroker("broker", 1883, "line1", "secret"), "plant/part")
    assert "secret" not in line.name + repr(line._broker)
    assert opened["g"]._line._broker == MqttBroker("broker", 9000, tls=True)
    assert opened["h"]._line._broker == MqttBroker("broker", 8883, tls=True)


@pytest.mark.parametrize(
    "text",
    [
        "motion",
        "part-gate?line=2",
        "part-gate?axis=z",
        "part-gate?speed=1",
        "part-gate?line=left",
        "gpio://top",
        "gpio://18?edge=both",
        "gpio://18?delay_ms=-1",
        "gpio://18?timeout_ms=0",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:9100?reply=yes",
        "mqtt://broker",
        "mqtt://me:secret@broker/topic",
        "mqtt://broker/topic?qos=1",
        "mqtt://broker/parts/#",
        "http://127.0.0.1:80/x",
    ],
)
def test_what_is_no_trigger_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    Pins(monkeypatch)
    with pytest.raises(UsageError, match=r"There is no trigger|part-gate needs") as raised:
        open_triggers({"a": text})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:99999", "tcp://[::1]:65536?reply=1", "mqtt://me@broker:70000/part"])
def test_a_port_out_of_range_is_told_as_such(text: str) -> None:
    with pytest.raises(UsageError, match=r"The port of '(tcp|mqtt)://.*' is out of range\. Take one up to 65535"):
        open_triggers({"a": text})
