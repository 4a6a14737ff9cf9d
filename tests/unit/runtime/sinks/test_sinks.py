"""Each sink writes what it promises, within its bounds, and ends cleanly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.runtime.events import Dropped, Event, Pulsed, SourceChanged, SourceState
from aand_edge.runtime.mqtt import MqttBroker
from aand_edge.runtime.sinks import metrics
from aand_edge.runtime.sinks.jsonl import JsonlSink
from aand_edge.runtime.sinks.metrics import MetricsSink
from aand_edge.runtime.sinks.mqtt import MqttSink
from aand_edge.runtime.sinks.rejects import RejectsSink
from aand_edge.runtime.sinks.spool import Spool
from aand_edge.runtime.sinks.video import VideoSink, measured_fps
from aand_edge.runtime.sinks.webhook import WebhookSink, with_secrets
from tests.broker import Broker, until
from tests.runtime_events import START, inspected


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_text("utf-8").splitlines()]


def test_lines_rotate_by_day_and_size_within_a_quota(tmp_path: Path) -> None:
    with JsonlSink(tmp_path, max_mb=0.002, keep_mb=0.01) as sink:
        sink.append(inspected(0))
        for number in range(1, 60):
            sink.append(inspected(number, time=START + timedelta(days=1, seconds=number)))
    finished = sorted(path.name for path in tmp_path.glob("verdicts-*"))
    assert finished[0].startswith("verdicts-2026-11-25.0")  # the day before is the oldest, and went first
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    kept = [number for name in [*finished, "verdicts.jsonl"] for number in numbers(tmp_path / name)]
    assert kept == list(range(kept[0], 60))


def test_a_folder_of_another_run_is_refused_or_gone_on_with(tmp_path: Path) -> None:
    with JsonlSink(tmp_path) as sink:
        sink.append(inspected(0))
    with pytest.raises(UsageError, match="verdicts of another run"), JsonlSink(tmp_path):
        pass
    with (tmp_path / "verdicts.jsonl").open("a") as torn:
        torn.write('{"event": "insp')
    with JsonlSink(tmp_path, append=True) as sink:
        assert "15 bytes were cut off" in sink.notice
        sink.append(inspected(1))
    found = [number for path in sorted(tmp_path.iterdir()) for number in numbers(path)]
    assert sorted(found) == [0, 1]


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    code = (
        "import itertools, sys\nfrom pathlib import Path\n"
        "from aand_edge.runtime.sinks.jsonl import JsonlSink\nfrom tests.runtime_events import inspected\n"
        "with JsonlSink(Path(sys.argv[1])) as sink:\n"
        "    for number in itertools.count():\n        sink.append(inspected(number))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    target = tmp_path / "verdicts.jsonl"
    until(lambda: target.exists() and target.stat().st_size > 20_000, 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with JsonlSink(tmp_path, append=True):
        pass
    found = numbers(target)
    assert found == list(range(len(found)))


@contextmanager
def no_more_room(size: int = 0) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_an_oserror_and_leaves_the_lines_whole(tmp_path: Path) -> None:
    with JsonlSink(tmp_path) as sink:
        sink.append(inspected(0))
        size = (tmp_path / "verdicts.jsonl").stat().st_size
        with no_more_room(size + 20), pytest.raises(OSError, match=r"File too large|No space left"):
            sink.append(inspected(1))
        sink.append(inspected(2))
    assert numbers(tmp_path / "verdicts.jsonl") == [0, 2]


def test_rejects_are_saved_within_size_and_age(tmp_path: Path) -> None:
    with RejectsSink(tmp_path, quota_mb=0.1, picture="png", save_map=True) as sink:
        sink.append(inspected(0, rejected=False))
        assert not list(tmp_path.iterdir())
        sink.append(inspected(1))
        stem = "20261124T050000223Z-cam1-000001-0.9000"
        assert (cv2.imread(str(tmp_path / f"{stem}.png")) == inspected(1).frame.picture).all()
        assert np.load(tmp_path / f"{stem}-map.npy").dtype == np.float16
        for number in range(2, 20):
            sink.append(inspected(number))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100_000
    assert list(tmp_path.glob("*-000019-*"))
    assert not list(tmp_path.glob("*-000001-*"))
    for path in tmp_path.iterdir():
        os.utime(path, (START.timestamp(), START.timestamp()))
    with RejectsSink(tmp_path, max_age_days=1) as sink:
        sink.append(inspected(20, rejected=False, time=START + timedelta(days=2)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [88.089, 157.413])
def test_a_measured_rate_is_one_that_mpeg4_has(tmp_path: Path, rate: float) -> None:
    """Times whose rate needs more than 65535 ticks a second cannot be written as they are."""
    with VideoSink(tmp_path / "overlay.mp4", fps=measured_fps([0.0, 1 / rate]), spare_bytes=0) as sink:
        sink.append(inspected(0))
    assert list(tmp_path.iterdir())


def test_a_video_begins_anew_where_the_size_changes(tmp_path: Path) -> None:
    for _ in range(2):
        with VideoSink(tmp_path / "overlay.avi", codec="MJPG", spare_bytes=0) as sink:
            for number in range(12):
                sink.append(inspected(number))
            sink.append(inspected(12, size=(32, 32)))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"overlay-cam1-00{number}.avi" for number in (1, 2, 3, 4)]
    video = cv2.VideoCapture(str(tmp_path / files[0]))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10, abs=0.1)
    video.release()
    with pytest.raises(UsageError, match="cannot write"), VideoSink(tmp_path / "overlay.avi", codec="zzzz"):
        pass


class Answers(BaseHTTPRequestHandler):
    codes: ClassVar[list[int]] = []
    bodies: ClassVar[list[dict[str, Any]]] = []
    heard: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        self.heard.update(self.headers.items())
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        code = self.codes.pop(0) if self.codes else 200
        if code == 200:
            self.bodies.append(body)
        self.send_response(code)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    Answers.codes, Answers.bodies, Answers.heard = [], [], {}
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/x?token=secret"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_tries_again_and_counts_what_it_gives_up(hook: str) -> None:
    Answers.codes.extend([503, 200, 400])
    with WebhookSink(hook) as sink:
        sink.append(inspected(0, rejected=False))
        sink.append(inspected(1))
        sink.append(inspected(2))
        until(lambda: sink.given_up == 1)
        with pytest.raises(AandEdgeError, match="HTTP 400") as caught:
            sink.append(inspected(3))
        assert "secret" not in str(caught.value)
        until(lambda: sink.delivered == 2)
    assert [body["number"] for body in Answers.bodies] == [1, 3]


def test_a_webhook_that_nobody_answers_holds_nothing_up() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with WebhookSink(f"http://127.0.0.1:{unused.getsockname()[1]}/", queue=2) as sink:
            for number in range(2):
                sink.append(inspected(number))
            begun = time.monotonic()
    assert time.monotonic() - begun < 3
    assert (sink.delivered, sink.given_up) == (0, 2)
    assert not [thread for thread in threading.enumerate() if thread.name == "aand-webhook"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://mes/ausschuß", "holds letters that no web address has"),
        ("http://mes/scrap parts", "holds letters that no web address has"),
        ("http://prüfstand/x", "holds letters that no web address has"),
        ("http://mes:99999/x", r"The port of 'http://mes:99999' is out of range\. Take one up to 65535"),
        ("http://[mes/x", "is no web address"),
        ("mes/x", "is no web address"),
        ("http://me:secret@mes/x", r"holds a password\. Send it as Authorization, in headers of \[run\.webhook\]\."),
    ],
)
def test_a_webhooks_url_that_cannot_be_posted_to_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        WebhookSink(url)
    assert "secret" not in str(caught.value)


def test_a_webhooks_header_may_be_a_secret_of_the_environment(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MES_TOKEN", "Bearer s3cret\n")
    headers = with_secrets({"Authorization": "$MES_TOKEN", "X-Price": "$ 5", "X-Line": "line7"})
    assert headers == {"Authorization": "Bearer s3cret", "X-Price": "$ 5", "X-Line": "line7"}
    with WebhookSink(hook, headers=headers) as sink:
        sink.append(inspected(0))
        until(lambda: sink.delivered == 1)
    assert Answers.heard["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (
            {"Authorization": "$MES_PASS"},
            r"'Authorization' is \$MES_PASS, which the environment does not have\. Set MES",
        ),
        ({"X-Line": "$MES_TOKEN"}, "'X-Line' cannot be sent"),
        ({"X-Line": "Prüfung №1"}, "'X-Line' cannot be sent"),
        ({"X Line": "7"}, "'X Line' cannot be sent"),
    ],
)
def test_what_is_no_header_is_refused(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], reason: str) -> None:
    monkeypatch.setenv("MES_TOKEN", "s3\ncret")
    monkeypatch.delenv("MES_PASS", raising=False)
    with pytest.raises(UsageError, match=reason) as caught:
        with_secrets(headers)
    assert "cret" not in str(caught.value)


def test_a_webhook_goes_on_after_an_event_that_cannot_be_posted(hook: str) -> None:
    with WebhookSink(hook, headers={"X-Line": "Prüfung №1"}) as sink:
        sink.append(inspected(0))
        until(lambda: sink.given_up == 1)
        sink._headers.pop("X-Line")
        with pytest.raises(AandEdgeError, match="UnicodeEncodeError"):
            sink.append(inspected(1))
        until(lambda: sink.delivered == 1)


def test_prometheus_reads_what_happened(tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")
    zone, monitor = (
        tmp_path / "sys/class/thermal/thermal_zone0",
        tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3",
    )
    for path, text in {
        zone / "temp": "48500\n",
        zone / "type": "cpu-thermal\n",
        monitor / "in1_label": "VDD_IN\n",
        monitor / "in1_input": "5000\n",
        monitor / "curr1_input": "1200\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    events: list[Event] = [inspected(0), inspected(1, rejected=False), Dropped("cam1", 4, 3, "newest", START)]
    events += [
        SourceChanged("cam1", SourceState.LIVE, "", START),
        SourceChanged("cam1", SourceState.LOST, "", START),
        SourceChanged("cam1", SourceState.LIVE, "", START, again=True),
    ]
    events.append(Pulsed("cam1", 0, 0.4, False, False, False, START))
    with MetricsSink(port=0, root=tmp_path) as sink:
        for event in events:
            sink.append(event)
        sink.sink_failed("mqtt")
        with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        with pytest.raises(AandEdgeError, match=str(sink.port)) as raised:
            MetricsSink(port=sink.port).__enter__()
        assert raised.value.exit_code == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "aand-metrics"]
    read = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert read["aand_frames_total", "cam1", "rejected"] == read["aand_frames_total", "cam1", "passed"] == 1
    assert read["aand_frames_dropped_total", "cam1", "newest"] == 3
    assert read["aand_reconnects_total", "cam1"] == 1
    assert read["aand_source_state", "cam1", "live"] == 1
    assert read["aand_source_state", "cam1", "lost"] == 0
    assert read["aand_stage_seconds_sum", "cam1", "total"] == pytest.approx(0.027)
    assert read["aand_gate_pulses_total", "cam1", "opened"] == read["aand_sink_failures_total", "mqtt"] == 1
    assert read["aand_temperature_celsius", "cpu-thermal", "thermal_zone0"] == 48.5
    assert read["aand_power_watts", "hwmon3/1", "VDD_IN"] == 6.0


def test_readers_that_speak_slowly_hold_up_neither_prometheus_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    monkeypatch.setattr(metrics, "READER_S", 1.0)
    ended = threading.Event()

    def drip(line: socket.socket) -> None:
        with suppress(OSError):
            for _ in range(100):
                if ended.wait(0.1):
                    return
                line.sendall(b"x")

    with ExitStack() as stack:
        with MetricsSink(port=0) as sink:

            def slow() -> threading.Thread:
                line = stack.enter_context(socket.create_connection(("127.0.0.1", sink.port), 5))
                thread = threading.Thread(target=drip, args=(line,))
                thread.start()
                return thread

            stack.callback(ended.set)
            crowd = [slow() for _ in range(metrics.MOST_READERS - 1)]
            with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=3) as answer:
                assert b"aand_notices" in answer.read()
            for each in crowd:
                each.join(5)
                assert not each.is_alive(), "it was cut off"
            monkeypatch.setattr(metrics, "READER_S", 60)
            last = slow()
            begun = time.monotonic()
        assert time.monotonic() - begun < 1
        last.join(5)
        assert not last.is_alive()


def test_a_spool_keeps_order_over_a_restart_and_drops_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with Spool(path, 0.0001) as spool:
        assert [spool.put("t", b"x" * 39) for _ in range(3)] == [0, 0, 1]
        with pytest.raises(AandEdgeError, match="cannot be used") as raised:
            Spool(path, 1)
        assert raised.value.exit_code == 1, "the other run may end"
    with Spool(path, 1) as spool:
        assert [message.number for message in spool.after(0, 9)] == [2, 3]
        spool.remove(2)
        assert len(spool) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_spool_on_a_full_disk_holds_its_messages_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aand_edge.runtime.sinks.spool.COMMIT_S", 0.0)
    path = tmp_path / "queue.db"
    with Spool(path, 1) as spool:
        for number in range(1, 4):
            spool.put("t", b"x" * number)
        with no_more_room():
            spool.remove(2)
            spool.put("t", b"full")
            assert spool.trouble is not None
            assert [message.number for message in spool.after(0, 9)] == [1, 3, 4]
            assert not spool.remove(2)
            assert spool.remove(1)
        spool.put("t", b"room")
        assert spool.trouble is None
        assert (len(spool), spool.dropped) == (3, 0)
    spool = Spool(path, 1)
    assert [message.payload for message in spool.after(0, 9)] == [b"xxx", b"full", b"room"]
    with no_more_room():
        spool.put("t", b"lost")
        spool.close()
    assert (len(spool), spool.dropped) == (3, 1)


class Listener:
    def __init__(self, port: int) -> None:
        from paho.mqtt import client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, bytes]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda client, data, message: self.got.append((message.topic, message.payload))
        self.ready = False
        self.client.on_subscribe = lambda *_: setattr(self, "ready", True)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("#", qos=1)
        until(lambda: self.ready)

    def numbers(self) -> list[int]:
        return [json.loads(payload)["number"] for topic, payload in self.got if topic == "aand-edge/cam1"]

    def status(self) -> list[bytes]:
        return [payload for topic, payload in self.got if topic == "aand-edge/status"]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_a_file_that_is_no_queue_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database, and long enough to be told from one " * 9)
    with pytest.raises(UsageError, match="cannot be used"):
        Spool(tmp_path / "notes.txt", 1)


def test_what_waits_for_a_broker_is_on_disk_before_its_thread_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop does not wait for ever: the process may end with the thread still in its way."""
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    found = list[int]()

    def look() -> None:
        for each in tmp_path.glob("queue.db*"):
            shutil.copy(each, tmp_path / each.name.replace("queue", "found"))
        with Spool(tmp_path / "found.db", 1) as copy:
            found.append(len(copy))

    monkeypatch.setattr("aand_edge.runtime.sinks.spool.COMMIT_S", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as broker:
        sink = MqttSink(MqttBroker("127.0.0.1", broker.getsockname()[1]), queue=tmp_path / "queue.db")
        sink.__enter__()
        put(sink, 0)
        put(sink, 1)
        real, sink._thread = sink._thread, Waited(look)
        sink.__exit__(None, None, None)
        real.join()
    assert found == [2]


class Waited(threading.Thread):
    """In place of a thread: who waits for it does this."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def join(self, timeout: float | None = None) -> None:
        self._act()


def put(sink: MqttSink, number: int) -> None:
    # The first after the broker went says so; the event is queued all the same.
    with suppress(AandEdgeError):
        sink.append(inspected(number))


def test_nothing_is_lost_while_the_broker_is_away_or_over_a_restart(broker: Broker, tmp_path: Path) -> None:
    queue = tmp_path / "queue.db"
    first = Listener(broker.port)
    with MqttSink(MqttBroker("127.0.0.1", broker.port), queue=queue) as sink:
        for number in range(100):
            put(sink, number)
        until(lambda: sink.waiting == 0 and first.numbers() == list(range(100)))
        until(lambda: first.status() == [b"online"])
        first.close()
        broker.kill()
        until(lambda: sink.state == "The connection was lost")
        for number in range(100, 120):
            put(sink, number)
        broker.start()
        second = Listener(broker.port)
        until(lambda: sink.waiting == 0 and second.numbers() == list(range(100, 120)))
        second.close()
        broker.kill()
        until(lambda: sink.state != "connected")
        for number in range(120, 140):
            put(sink, number)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    broker.start()
    third = Listener(broker.port)
    with MqttSink(MqttBroker("127.0.0.1", broker.port), queue=queue) as sink:
        until(lambda: third.numbers() == list(range(120, 140)))
    until(lambda: third.status() == [b"online", b"offline"])
    third.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "aand-mqtt"]


def test_the_broker_says_offline_for_a_killed_process(broker: Broker) -> None:
    code = (
        "import sys, time\nfrom aand_edge.runtime.mqtt import MqttBroker\n"
        "from aand_edge.runtime.sinks.mqtt import MqttSink\n"
        "with MqttSink(MqttBroker('127.0.0.1', int(sys.argv[1]))):\n    time.sleep(60)\n"
    )
    listener = Listener(broker.port)
    process = subprocess.Popen([sys.executable, "-c", code, str(broker.port)])
    until(lambda: listener.status() == [b"online"], 60)
    process.kill()
    process.wait()
    until(lambda: listener.status() == [b"online", b"offline"])
    listener.close()
