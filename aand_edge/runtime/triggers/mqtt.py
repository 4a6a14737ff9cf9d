"""`mqtt://[USER@]HOST[:PORT]/TOPIC`, or `mqtts://` for TLS: a message is a part; what it says is the part's id."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aand_edge.errors import UsageError
from aand_edge.runtime.events import Noticed, now
from aand_edge.runtime.mqtt import WAITS_S, MqttBroker
from aand_edge.runtime.triggers.line import Line, part_id

if TYPE_CHECKING:
    from paho.mqtt.client import Client

LEAVE_S = 0.3


class MqttLine(Line):
    """Subscribes to a topic, and connects again for ever when the broker goes away.

    Messages are taken at most once (QoS 0), and a retained one is none: it tells of a part that passed long ago.
    What was published while the broker or the connection was away does not come.
    """

    def __init__(self, broker: MqttBroker, topic: str, tell: Callable[[Noticed], None]) -> None:
        """Raises UsageError for what is no topic, MissingDependencyError where paho-mqtt is not installed."""
        super().__init__()
        _check(topic)
        broker.client()  # for what it raises
        self.name = f"mqtt://{broker}/{topic}"
        self._broker, self._topic, self._tell = broker, topic, tell
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
            reason = self._broker.session(self._prepare, self._turn, self._leave, self._stop)
            if self._stop.is_set():
                return
            wait = WAITS_S[0] if self._listening else wait
            if not self._away:
                self._away = True
                text = f"The trigger {self.name} is away ({reason}): no part is judged until it is back"
                self._tell(Noticed("error", text, now()))
            self._stop.wait(wait)
            wait = min(2 * wait, longest)

    def _prepare(self, client: Client) -> None:
        client.on_connect, client.on_subscribe, client.on_message = self._connected, self._subscribed, self._arrived

    def _turn(self, client: Client) -> bool:
        return self._listening

    def _leave(self, client: Client) -> None:
        client.disconnect()

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
