"""`mqtt://[USER@]HOST[:PORT]/TOPIC`, or `mqtts://` for TLS: a message is a part; what it says is the part's id."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from aand_edge.errors import MissingDependencyError, UsageError
from aand_edge.runtime.events import Noticed, now
from aand_edge.runtime.triggers.line import Line, part_id

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEP_ALIVE_S = 10
CONNECT_S = 3.0
ANSWER_S = 5.0  # for the broker's answer to a connection
WAITS_S = (1.0, 30.0)  # before the next connection; doubled from the first to the second
TICK_S = 0.1
LEAVE_S = 0.3


class MqttLine(Line):
    """Subscribes to a topic, and connects again for ever when the broker goes away.

    Messages are taken at most once (QoS 0), and a retained one is none: it tells of a part that passed long ago.
    What was published while the broker or the connection was away does not come.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topic: str,
        tell: Callable[[Noticed], None],
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
    ) -> None:
        """Raises UsageError for what is no topic, MissingDependencyError where paho-mqtt is not installed."""
        super().__init__()
        _check(topic)
        if find_spec("paho") is None:
            raise MissingDependencyError(
                "An MQTT trigger needs paho-mqtt 2, which is not installed",
                'Install it with `pip install "aand-edge[mqtt]"`.',
            )
        self.name = f"mqtt://{host}:{port}/{topic}"
        self._host, self._port, self._topic, self._tell = host, port, topic, tell
        self._login, self._tls = (username, password), tls
        self._stop = threading.Event()
        self._listening = self._away = False

    def _open(self) -> None:
        self._thread = threading.Thread(target=self._work, name="aand-trigger-mqtt", daemon=True)
        self._thread.start()

    def _close(self) -> None:
        self._stop.set()
        # A connection that is being made cannot be broken off; the thread then ends by itself, within its time limit.
        self._thread.join(LEAVE_S)

    def _work(self) -> None:
        wait, longest = WAITS_S
        while not self._stop.is_set():
            self._listening = False
            reason = self._session()
            if self._stop.is_set():
                return
            wait = WAITS_S[0] if self._listening else wait
            if not self._away:
                self._away = True
                text = f"The trigger {self.name} is away ({reason}): no part is judged until it is back"
                self._tell(Noticed("error", text, now()))
            self._stop.wait(wait)
            wait = min(2 * wait, longest)

    def _session(self) -> str:
        """One connection, from its beginning to its end. Returns why it ended."""
        try:
            client = self._client()
            client.connect(self._host, self._port, keepalive=KEEP_ALIVE_S)
            return self._listen(client)
        except Exception as error:  # whatever the network or paho raises, it is told and tried again
            return str(getattr(error, "strerror", None) or error) or type(error).__name__

    def _listen(self, client: Client) -> str:
        from paho.mqtt.client import error_string

        deadline = time.monotonic() + ANSWER_S
        while not self._stop.is_set():
            code = client.loop(TICK_S)
            refused: str | None = client.user_data_get()
            if code or refused:
                return refused or error_string(code).rstrip(".")
            if not self._listening and time.monotonic() > deadline:
                return "it does not answer"
        client.disconnect()
        return ""

    def _client(self) -> Client:
        from paho.mqtt import client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = CONNECT_S
        client.on_connect, client.on_subscribe, client.on_message = self._connected, self._subscribed, self._arrived
        if self._login[0] is not None:
            client.username_pw_set(*self._login)
        if self._tls:
            client.tls_set()
        return client

    def _connected(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            client.user_data_set(f"refused: {reason}")
        else:
            client.subscribe(self._topic)

    def _subscribed(self, client: Client, data: object, number: int, reasons: list[Any], properties: object) -> None:
        if reasons[0].is_failure:
            client.user_data_set(f"the topic is refused: {reasons[0]}")
            return
        self._listening = True
        if self._away:
            self._away = False
            self._tell(Noticed("info", f"The trigger {self.name} is back", now()))

    def _arrived(self, client: Client, data: object, message: Any) -> None:
        if not message.retain:
            self._called(time.monotonic(), part_id(message.payload))


def _check(topic: str) -> None:
    """Raises UsageError for a filter that MQTT does not have: a wildcard fills a level, and # the last one."""
    *levels, last = topic.split("/")
    fits = last in ("+", "#") or not set(last) & set("+#")
    if not fits or any(set(level) & set("+#") and level != "+" for level in levels):
        raise UsageError(f"'{topic}' is no MQTT topic to listen to", "Let + be a whole level of it, as in line/+/part.")
