"""What the MQTT sink and the MQTT trigger share: who asks the broker, and what is said where it cannot be asked."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aand_edge.errors import MissingDependencyError, UsageError
from aand_edge.runtime import mqtt as module
from aand_edge.runtime.events import Noticed
from aand_edge.runtime.mqtt import MqttBroker, usual_port
from aand_edge.runtime.sinks.mqtt import MqttSink
from aand_edge.runtime.triggers.mqtt import MqttLine
from tests.broker import until

if TYPE_CHECKING:
    from paho.mqtt.client import Client

NOT_AUTHORISED = b"\x20\x02\x00\x05"


@contextmanager
def answering(answer: bytes) -> Iterator[MqttBroker]:
    """What says this and no more to whoever connects."""
    served: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # closed
                return
            served.append(client)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield MqttBroker("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for each in served:
        each.close()


def never(moment: float, part: str | None) -> bool:
    """What nobody calls."""
    raise AssertionError


def session(broker: MqttBroker) -> str:
    def nothing(client: Client) -> None: ...

    return broker.session(nothing, lambda client: False, nothing, threading.Event())


def test_without_the_package_both_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    broker = MqttBroker("broker", 1883)
    with (
        pytest.raises(MissingDependencyError, match=r"needs paho-mqtt 2.*aand-edge\[mqtt\]") as of_sink,
        MqttSink(broker),
    ):
        pass
    with pytest.raises(MissingDependencyError) as of_trigger:
        MqttLine(broker, "line1/part", lambda notice: None)
    assert str(of_sink.value) == str(of_trigger.value)


def test_a_password_is_somebodys_and_is_not_shown() -> None:
    with pytest.raises(UsageError, match="password needs a username"):
        MqttBroker("broker", 1883, password="secret")
    broker = MqttBroker("broker", 1883, username="line3", password="secret")
    assert "secret" not in f"{broker} {broker!r}"


@pytest.mark.parametrize(("tls", "port"), [(False, 1883), (True, 8883), (Path("ca.pem"), 8883)])
def test_the_usual_port_is_another_with_tls(tls: bool | Path, port: int) -> None:
    assert usual_port(tls) == port


def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Before the first connection as a mistake, and at a later one as why there is none: the thread must go on."""
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    broker = MqttBroker("127.0.0.1", 8883, tls=tmp_path / "ca.pem")
    with pytest.raises(UsageError, match=r"ca\.pem is no authority for TLS \(No such file"):
        broker.client()
    assert session(broker) == f"{tmp_path / 'ca.pem'} is no authority for TLS (No such file or directory)"


def test_both_say_why_a_broker_refuses_them() -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    told = list[Noticed]()
    with answering(NOT_AUTHORISED) as broker:
        with MqttSink(broker) as sink:
            until(lambda: sink.state == "refused: Not authorized")
        line = MqttLine(broker, "line1/part", told.append)
        line.join(never)
        until(lambda: bool(told))
        line.leave(never)
    assert "is away (refused: Not authorized): no part is judged" in told[0].text


def test_a_broker_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    with answering(b"") as broker:
        assert session(broker) == "it does not answer"


def test_a_placeholder_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"topic plant/\{lane\}/\{camera\} has \{lane\}, which stands for nothing"):
        MqttSink(MqttBroker("broker", 1883), topic="plant/{lane}/{camera}")
