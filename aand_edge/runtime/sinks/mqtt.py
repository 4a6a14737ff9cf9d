"""Every event to an MQTT broker; what cannot be delivered now waits in a queue on disk."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aand_edge.config import plain_name
from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.runtime.events import Event
from aand_edge.runtime.mqtt import TICK_S, WAITS_S, MqttBroker
from aand_edge.runtime.sinks.payload import camera_of, json_bytes
from aand_edge.runtime.sinks.spool import Spool

if TYPE_CHECKING:
    from paho.mqtt.client import Client

NO_CAMERA = "notices"  # the topic's level for what speaks of no camera
WINDOW = 64  # messages on their way at a time
FLUSH_S, LEAVE_S = 0.5, 0.6  # under `stopping.SINKS_S`


class MqttSink:
    """Publishes each event as JSON, in order, from a thread of its own; `append` never waits for the network.

    topic      {camera} stands for the camera's name, or `notices` where an event has none
    qos        1 delivers at least once: after a broken connection or a restart a message may come twice
    queue      an SQLite file for what the broker has not confirmed yet; None keeps it in memory
    queue_mb   its bound in 10⁶ bytes of messages; then the oldest are dropped, counted in `dropped`

    The topic's part before {camera}, with `/status`, holds `online` or `offline`, retained; the broker itself writes
    `offline` where the connection breaks. `append` raises once each time the broker goes away or refuses the login,
    where messages are dropped, and where the queue cannot be written: the event itself is queued all the same, in
    memory where the disk is full.
    """

    name = "mqtt"

    def __init__(
        self,
        broker: MqttBroker,
        topic: str = "aand-edge/{camera}",
        qos: int = 1,
        queue: Path | None = None,
        queue_mb: float = 64,
    ) -> None:
        """Raises UsageError for a value that cannot be."""
        _check(topic, qos, queue_mb)
        self.state = "not connected yet"
        self._broker = broker
        self._topic, self._status = topic, _status_topic(topic)
        self._qos = qos
        self._queue, self._queue_mb = queue, queue_mb
        self._complaint: str | None = None
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._in_flight: dict[int, int] = {}  # paho's number of a message: ours
        self._last = 0  # of our numbers that is on its way
        self._sent = 0

    @property
    def dropped(self) -> int:
        """Messages that were dropped because the queue was full."""
        return self._spool.dropped

    @property
    def lost(self) -> int:
        """Messages that were dropped, and those that wait in a queue that ends with the process."""
        return self.dropped + (self.waiting if self._queue is None else 0)

    @property
    def sent(self) -> int:
        """Messages that the broker has confirmed."""
        return self._sent

    @property
    def waiting(self) -> int:
        """Messages that the broker has not confirmed yet."""
        return len(self._spool)

    def __enter__(self) -> MqttSink:
        """Does not wait for the broker. Raises what `Spool` does, UsageError, MissingDependencyError."""
        self._broker.client()  # for what it raises
        self._spool = Spool(self._queue, self._queue_mb)
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="aand-mqtt", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._spool.save(at_once=True)  # before it is waited for: this process may end then
        # A connection that is being made cannot be broken off; the thread then ends by itself, within its time limit.
        self._thread.join(LEAVE_S)
        self._spool.close()

    def append(self, event: Event) -> None:
        """Queue an event."""
        dropped = self._spool.put(_topic_of(self._topic, camera_of(event) or NO_CAMERA), json_bytes(event))
        if dropped:
            raise AandEdgeError(
                f"The MQTT queue is full and dropped its oldest {dropped}", "Raise queue_mb under [run.mqtt]."
            )
        complaint, self._complaint = self._complaint, None
        if complaint is not None:
            kept = "in its queue" if self._queue else "in memory, which a restart empties,"
            raise AandEdgeError(complaint, f"Events wait {kept} until it is back.")
        trouble, self._trouble = self._trouble, self._spool.trouble
        if self._trouble is not None and trouble is None:
            raise AandEdgeError(f"The MQTT queue cannot be written ({self._trouble})", "Events wait in memory.")

    def _run(self) -> None:
        wait, longest = WAITS_S
        while not self._stop.is_set():
            before = self._sent
            self._in_flight.clear()
            self._last = 0
            reason = self._broker.session(self._prepare, self._turn, self._leave, self._stop)
            if not self._stop.is_set():
                self._away(reason)
                wait = WAITS_S[0] if self._sent > before else wait
                self._stop.wait(wait)
                wait = min(2 * wait, longest)

    def _prepare(self, client: Client) -> None:
        client.max_inflight_messages_set(WINDOW + 2)  # and the status
        client.will_set(self._status, "offline", qos=self._qos, retain=True)
        client.on_publish = self._arrived
        client.on_connect = self._answered

    def _turn(self, client: Client) -> bool:
        connected = client.is_connected()
        if connected:
            self._publish(client)
            self.state = "connected"
        self._spool.save()
        return connected

    def _publish(self, client: Client) -> None:
        """Send on what is queued after the last that is on its way, as far as the window goes."""
        if len(self._in_flight) >= WINDOW:
            return
        for message in self._spool.after(self._last, WINDOW - len(self._in_flight)):
            sent = client.publish(message.topic, message.payload, qos=self._qos)
            self._in_flight[sent.mid] = self._last = message.number

    def _leave(self, client: Client) -> None:
        if not client.is_connected():
            return
        deadline = time.monotonic() + FLUSH_S
        while len(self._spool) and time.monotonic() < deadline:
            self._publish(client)
            if client.loop(TICK_S):
                return
        self._in_flight.clear()
        client.publish(self._status, "offline", qos=self._qos, retain=True)
        client.disconnect()
        while time.monotonic() < deadline and not client.loop(TICK_S):
            pass

    def _away(self, reason: str) -> None:
        if self.state != reason:
            self._complaint = f"The MQTT broker {self._broker} is away ({reason})"
        self.state = reason

    def _arrived(self, client: Client, data: object, number: int, *_: Any) -> None:
        """The broker has a message."""
        ours = self._in_flight.pop(number, None)
        if ours is not None:
            self._sent += self._spool.remove(ours)

    def _answered(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        """The broker took the connection or refused it."""
        if reason.is_failure:
            client.user_data_set(f"refused: {reason}")
        else:
            client.publish(self._status, "online", qos=self._qos, retain=True)


def check_names(topic: str, cameras: Iterable[str]) -> None:
    """Raises UsageError for a camera whose events would come where the station tells of itself."""
    if "{camera}" not in topic:
        return  # all events come there by intent, and the status lies under it
    own = {_status_topic(topic), _topic_of(topic, NO_CAMERA)}
    for camera in cameras:
        if (its := _topic_of(topic, camera)) in own:
            raise UsageError(
                f"The camera '{camera}' has the MQTT topic {its}, the station's own", "Give it another name."
            )


def _topic_of(topic: str, camera: str) -> str:
    return topic.replace("{camera}", plain_name(camera))


def _status_topic(topic: str) -> str:
    return (topic.partition("{camera}")[0].rstrip("/") or "aand-edge") + "/status"


def _check(topic: str, qos: int, queue_mb: float) -> None:
    if not topic or set(topic) & set("+#"):
        raise UsageError(f"{topic!r} is no MQTT topic to publish to", "Leave out + and #.")
    if unknown := set(re.findall(r"\{[^}]*\}", topic)) - {"{camera}"}:
        raise UsageError(
            f"The MQTT topic {topic} has {sorted(unknown)[0]}, which stands for nothing", "Take {line} and {camera}."
        )
    if qos not in (0, 1, 2):
        raise UsageError(f"MQTT has no qos {qos}", "Take 0, 1 or 2.")
    if queue_mb <= 0:
        raise UsageError("The MQTT queue has no room", "Make queue_mb positive.")
