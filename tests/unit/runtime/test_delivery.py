"""A sink that is slow, broken or hangs never holds the loop up, and what it missed is counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest

from aand_edge.runtime.delivery import WITH_PICTURES, Outlet
from aand_edge.runtime.events import Dropped, Event, Inspected, Noticed, Timing
from aand_edge.runtime.mqtt import MqttBroker
from aand_edge.runtime.sinks.mqtt import MqttSink
from aand_edge.runtime.sinks.webhook import WebhookSink
from aand_edge.runtime.verdict import Verdict
from tests.broker import until
from tests.frames import TIME, frame
from tests.graphs import tiny_frames
from tests.mute import Mute


class Listener:
    """A sink that does what a test says at each event."""

    name = "listener"

    def __init__(self, act: Callable[[Event], object] = lambda event: None) -> None:
        self.seen: list[Event] = []
        self.closed = False
        self._act = act

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    def append(self, event: Event) -> None:
        self._act(event)
        self.seen.append(event)


def dropped(number: int) -> Dropped:
    return Dropped("a", number, 1, "newest", TIME)


def inspected(number: int) -> Inspected:
    anomaly_map = tiny_frames(1)[0, :, :, 0].astype("float32")
    return Inspected(frame(number), Verdict(1.0, 2.0, False, ()), anomaly_map, Timing(1, 1, 1, 1, 4), False)


def test_everything_that_was_put_is_written_before_the_sink_closes() -> None:
    sink, told = Listener(), list[Noticed]()
    with Outlet(sink, pictures=True, wait=True, tell=told.append) as outlet:
        for number in range(100):
            outlet.put(dropped(number))
    assert sink.seen == [dropped(number) for number in range(100)]
    assert sink.closed
    assert (outlet.lost, outlet.failures, told) == (0, 0, [])


def test_a_failing_sink_is_told_once_and_again_when_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.CALM_S", 0.0)

    def act(event: Event) -> None:
        if isinstance(event, Dropped) and event.number < 3:
            raise OSError("the disk is full")

    told, done = list[Noticed](), threading.Event()
    sink = Listener(lambda event: done.set() if event == dropped(5) else act(event))
    with Outlet(sink, pictures=True, wait=True, tell=told.append) as outlet:
        for number in range(6):
            outlet.put(dropped(number))
        assert done.wait(5)
    assert outlet.failures == 3
    assert [each.text for each in told] == [
        "The sink listener failed: the disk is full",
        "The sink listener works again; it failed 3 times",
    ]


def test_a_sink_that_fails_at_every_other_event_is_told_once() -> None:
    def act(event: Event) -> None:
        if isinstance(event, Dropped) and event.number % 2:
            raise OSError("the disk is full")

    told = list[Noticed]()
    with Outlet(Listener(act), pictures=True, wait=True, tell=told.append) as outlet:
        for number in range(60):
            outlet.put(dropped(number))
        until(lambda: outlet.failures == 30)
    assert [each.text for each in told] == ["The sink listener failed: the disk is full"]


def test_a_line_that_does_not_stop_leaves_out_what_a_slow_sink_cannot_take() -> None:
    go, told = threading.Event(), list[Noticed]()
    sink = Listener(lambda event: go.wait(10))
    with Outlet(sink, pictures=True, wait=False, tell=told.append) as outlet:
        for number in range(WITH_PICTURES + 10):
            outlet.put(inspected(number))
        assert outlet.waiting <= WITH_PICTURES
        go.set()
    assert len(sink.seen) + outlet.lost == WITH_PICTURES + 10
    assert outlet.lost >= 9
    assert [each.text for each in told] == ["The sink listener is behind: events are left out"]


@pytest.mark.parametrize(("queue", "unwritten"), [("queue", 0), (None, 3)])
def test_what_waits_for_the_broker_on_disk_is_not_told_as_lost(
    tmp_path: Path, queue: str | None, unwritten: int
) -> None:
    pytest.importorskip("paho.mqtt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = MqttSink(MqttBroker("127.0.0.1", port), queue=tmp_path / queue if queue else None)
    with Outlet(sink, pictures=False, wait=True, tell=lambda notice: None) as outlet:
        until(lambda: sink.state == "Connection refused")
        for number in range(3):
            outlet.put(dropped(number))
    assert outlet.failures == 1, "that the broker is away"
    assert outlet.unwritten == unwritten


def rejected(number: int) -> Inspected:
    return replace(inspected(number), rejected=True)


def test_what_a_webhook_gave_up_is_told_at_the_end() -> None:
    """Nobody hears a notice any more, and the last event has no `append` after it that could raise."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        sink = WebhookSink(f"http://127.0.0.1:{unused.getsockname()[1]}/", retries=0)
        with Outlet(sink, pictures=False, wait=True, tell=lambda notice: None) as outlet:
            for number in range(5):
                outlet.put(rejected(number))
    assert outlet.unwritten == 5


def test_an_event_that_a_server_has_not_answered_is_told_at_the_end() -> None:
    mute = Mute()
    sink = WebhookSink(f"http://127.0.0.1:{mute.port}/")
    with Outlet(sink, pictures=False, wait=False, tell=lambda notice: None) as outlet:
        for number in range(2):
            outlet.put(rejected(number))
        until(lambda: len(mute.heard) > 0)
    assert outlet.unwritten == 2, "the one that was posted, and the one behind it"
    for client in mute.taken:
        client.close()
    until(lambda: not sink._thread.is_alive())
    assert (sink.delivered, sink.given_up) == (0, 2), "counted once, whatever comes of it then"
    mute.close()


def test_a_sink_that_hangs_does_not_keep_the_loop_from_ending(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.SINKS_S", 0.05)
    go = threading.Event()
    sink = Listener(lambda event: go.wait(10))
    with Outlet(sink, pictures=True, wait=False, tell=lambda notice: None) as outlet:
        outlet.put(dropped(0))
    assert "did not end within" in caplog.text
    assert outlet.unwritten == 1
    go.set()


@pytest.mark.parametrize("pictures", [True, False])
def test_pictures_are_kept_only_for_who_looks_at_them(pictures: bool) -> None:
    sink = Listener()
    with Outlet(sink, pictures=pictures, wait=True, tell=lambda notice: None) as outlet:
        outlet.put(inspected(1))
    (seen,) = sink.seen
    assert isinstance(seen, Inspected)
    assert (seen.frame.picture.size > 0, seen.anomaly_map.size > 0) == (pictures, pictures)
    assert seen.to_dict() == inspected(1).to_dict()


def test_who_waits_for_room_is_let_go_when_the_loop_ends() -> None:
    hold, told = threading.Event(), list[Noticed]()
    with Outlet(Listener(lambda event: hold.wait(20)), pictures=True, wait=True, tell=told.append) as outlet:
        for number in range(WITH_PICTURES + 1):
            outlet.put(inspected(number))
        until(lambda: outlet.waiting == WITH_PICTURES)
        waiting = threading.Thread(target=outlet.put, args=(inspected(99),))
        waiting.start()
        time.sleep(0.05)
        assert waiting.is_alive()
        outlet.hurry()
        waiting.join(1)
        assert not waiting.is_alive()
        hold.set()
    assert outlet.lost == 1
    assert [each.text for each in told] == ["The sink listener is behind: events are left out"]


def test_sinks_that_hang_end_in_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.SINKS_S", 0.3)
    hold = threading.Event()
    outlets = [Outlet(Listener(lambda event: hold.wait(20)), False, False, lambda notice: None) for _ in range(5)]
    for outlet in outlets:
        outlet.__enter__()
        outlet.put(dropped(0))
    start = time.monotonic()
    for outlet in outlets:
        outlet.leave()
    for outlet in outlets:
        outlet.__exit__(None, None, None)
    assert time.monotonic() - start < 1
    hold.set()


def test_what_a_slow_sink_holds_after_the_last_file_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.SINKS_S", 0.05)
    sink = Listener(lambda event: time.sleep(0.03))
    with Outlet(sink, pictures=True, wait=True, tell=lambda notice: None) as outlet:
        for number in range(10):
            outlet.put(dropped(number))
    assert len(sink.seen) == 10


def test_a_stop_waits_longer_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.SINKS_S", 0.05)
    sink = Listener(lambda event: time.sleep(0.03))
    with Outlet(sink, pictures=False, wait=False, tell=lambda notice: None, on_disk=True) as outlet:
        for number in range(10):
            outlet.put(dropped(number))
    assert len(sink.seen) == 10, "a slow disk is waited for"


def test_a_signal_after_the_last_file_hurries_who_took_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.SINKS_S", 0.05)
    go = threading.Event()
    outlet = Outlet(Listener(lambda event: go.wait(20)), pictures=True, wait=True, tell=lambda notice: None)
    outlet.__enter__()
    outlet.put(dropped(0))
    leaving = threading.Thread(target=outlet.__exit__, args=(None, None, None))
    leaving.start()
    leaving.join(0.2)
    assert leaving.is_alive()
    outlet.hurry()
    leaving.join(10)
    assert not leaving.is_alive()
    go.set()


def test_a_burst_without_pictures_takes_no_pictures_place() -> None:
    """As of the parts on a belt, which are all told at once when its encoder goes or the loop ends."""
    go, told = threading.Event(), list[Noticed]()
    sink = Listener(lambda event: go.wait(10))
    with Outlet(sink, pictures=True, wait=False, tell=told.append) as outlet:
        for number in range(10 * WITH_PICTURES):
            outlet.put(dropped(number))
        for number in range(WITH_PICTURES):
            outlet.put(inspected(number))
        go.set()
    assert (len(sink.seen), outlet.lost, told) == (11 * WITH_PICTURES, 0, [])


def test_all_that_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.runtime.delivery.WAITING", 5)
    go = threading.Event()
    sink = Listener(lambda event: go.wait(10))
    with Outlet(sink, pictures=True, wait=False, tell=lambda notice: None) as outlet:
        for number in range(10):
            outlet.put(dropped(number))
        assert outlet.waiting <= 5
        go.set()
    assert len(sink.seen) + outlet.lost == 10
