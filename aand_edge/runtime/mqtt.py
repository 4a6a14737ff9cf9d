"""An MQTT broker, and one connection to it: for the sink that publishes and the trigger that listens."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aand_edge.errors import AandEdgeError, MissingDependencyError, UsageError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEP_ALIVE_S = 10
CONNECT_S = 3.0
ANSWER_S = 5.0  # for the broker's answer to a connection
WAITS_S = (1.0, 30.0)  # before the next connection; doubled from the first to the second
TICK_S = 0.05


@dataclass(frozen=True)
class MqttBroker:
    """Where it is, and who asks it.

    tls   True trusts the system's authorities, a path the authority in that PEM file

    Raises UsageError for a password without a username.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool | Path = False

    def __post_init__(self) -> None:
        if self.password is not None and self.username is None:
            raise UsageError("An MQTT password needs a username", "Set username too.")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def client(self) -> Client:
        """One that is not connected yet. Raises MissingDependencyError, and UsageError for what is no authority."""
        try:
            from paho.mqtt import client as mqtt
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError:
            raise MissingDependencyError(
                "MQTT needs paho-mqtt 2, which is not installed", 'Install it with `pip install "aand-edge[mqtt]"`.'
            ) from None
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = CONNECT_S
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.tls:
            _trust(client, self.tls)
        return client

    def session(
        self,
        prepare: Callable[[Client], None],
        turn: Callable[[Client], bool],
        leave: Callable[[Client], None],
        stop: threading.Event,
    ) -> str:
        """One connection, from its beginning to its end. Returns why it ended, "" after a stop.

        prepare   sets a new client's callbacks; a text that one of them sets as its user data ends the connection
        turn      what is done between two looks at the network; returns whether the broker has answered, for which it
                  has `ANSWER_S`
        leave     what is done at a stop
        """
        try:
            # A new one for each connection: an old one would send again what the sink's queue sends again as well.
            client = self.client()
            prepare(client)
            client.connect(self.host, self.port, keepalive=KEEP_ALIVE_S)
            ended = _stay(client, turn, stop)
            if not ended:
                leave(client)
            return ended
        except AandEdgeError as error:
            return error.message
        except Exception as error:  # whatever the network, paho or the disk of a queue raises, it is tried again
            return str(getattr(error, "strerror", None) or error) or type(error).__name__


def usual_port(tls: bool | Path) -> int:
    """Where nobody names one."""
    return 8883 if tls else 1883


def _stay(client: Client, turn: Callable[[Client], bool], stop: threading.Event) -> str:
    """Until the connection ends, and why; "" after a stop."""
    from paho.mqtt.client import error_string

    deadline = time.monotonic() + ANSWER_S
    while not stop.is_set():
        code = client.loop(TICK_S)
        refused: str | None = client.user_data_get()
        if code or refused:
            return refused or error_string(code).rstrip(".")
        if not turn(client) and time.monotonic() > deadline:
            return "it does not answer"
    return ""


def _trust(client: Client, tls: bool | Path) -> None:
    try:
        client.tls_set(ca_certs=None if tls is True else str(tls))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{tls} is no authority for TLS ({error.strerror})",
            "Name its PEM file as ca under [run.mqtt], or write tls = true in place of it.",
        ) from None
