"""Everything put together by the workspace file: cameras, gate and sinks are what it says, and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aand_edge.config import CameraSettings, Settings, Workspace
from aand_edge.engines.base import Frames, Outputs
from aand_edge.engines.build import build_engine
from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.runtime import reload
from aand_edge.runtime.conveyor import Conveyor
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.events import Dropped, Event, Inspected, Noticed, Pulsed, SourceChanged
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.sinks.mqtt import check_names
from aand_edge.runtime.station import check_cameras, run_station
from tests.broker import Broker, until
from tests.graphs import tiny_request
from tests.unit.runtime.sinks.test_sinks import Listener as Subscriber
from tests.unit.runtime.test_delivery import Listener


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


def camera(source: str, **more: object) -> CameraSettings:
    return CameraSettings.model_validate({"source": source, **more})


def workspace(folder: Path, text: str = "") -> Workspace:
    (folder / "aand-edge.toml").write_text(text)
    return Workspace.open(folder)


def test_rejected_parts_reach_record_gate_webhook_and_metrics(tmp_path: Path, engine: Path) -> None:
    pytest.importorskip("prometheus_client")
    text = """
[run]
threshold = 0.0
[run.rejects]
save_map = true
[run.gate]
output = "simulated:gate.log"
pulse_ms = 5.0
[run.metrics]
port = 0
"""
    watcher = Listener()
    cameras = [camera("test://?rate=0&count=6&parts=2&size=64", name="top")]
    tally = run_station(workspace(tmp_path, text), engine, cameras, tmp_path / "out", watcher, {})
    assert (tally.judged, tally.rejected, tally.failed) == (6, 6, 0)
    lines = [json.loads(line) for line in (tmp_path / "out/verdicts.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines if line["event"] == "inspected"] == list(range(6))
    assert sorted(line["number"] for line in lines if line["event"] == "pulsed") == list(range(6))
    assert len(list((tmp_path / "out/rejects").glob("*-map.npy"))) == 6
    moves = [json.loads(line)["rejecting"] for line in (tmp_path / "gate.log").read_text().splitlines()]
    assert any(moves)
    assert moves[-1] is False
    assert sum(isinstance(event, Pulsed) for event in watcher.seen) == 6


def test_sinks_are_made_as_the_file_says(
    tmp_path: Path, engine: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MES_TOKEN", "Bearer s3cret")
    text = f"""
[run.mqtt]
host = "127.0.0.1"
port = {broker.port}
queue_mb = 0.000001
[run.webhook]
url = "http://127.0.0.1:9/"
headers = {{ Authorization = "$MES_TOKEN" }}
"""
    found, watcher = workspace(tmp_path, text), Listener()
    # A run that lasts a while: what a sink says once its run has ended is counted, and told to nobody.
    run_station(found, engine, [camera("test://?rate=20&count=10&parts=2&size=64")], None, watcher, {})
    told = [event.text for event in watcher.seen if isinstance(event, Noticed)]
    assert any(
        "The MQTT queue is full and dropped its oldest 1. Raise queue_mb under [run.mqtt]" in each for each in told
    )
    monkeypatch.delenv("MES_TOKEN")
    with pytest.raises(UsageError, match=r"The webhook's header 'Authorization' is \$MES_TOKEN, which the environment"):
        run_station(found, engine, [camera("test://?rate=0&count=2&parts=2&size=64")], None, watcher, {})


def test_several_cameras_share_the_engine_each_in_its_order(tmp_path: Path, engine: Path) -> None:
    watcher = Listener()
    cameras = [camera(f"test://?rate=0&count={count}&parts=2&size=64") for count in (5, 9)]
    tally = run_station(workspace(tmp_path), engine, cameras, None, watcher, {"threshold": 9.0})
    assert (tally.judged, tally.rejected) == (14, 0)
    for name, count in (("camera1", 5), ("camera2", 9)):
        judged = [each.number for each in watcher.seen if isinstance(each, Inspected) and each.camera == name]
        assert judged == list(range(count))
    assert not (tmp_path / "out").exists()


def test_what_is_written_while_the_engine_is_loaded_counts(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading takes a minute on a Jetson, and a threshold may be set in it."""
    warm_up = LiveEngine.warm_up

    def slow(self: LiveEngine) -> None:
        (tmp_path / "aand-edge.toml").write_text("[run]\nthreshold = 0.25\n")
        warm_up(self)

    settings = workspace(tmp_path)
    monkeypatch.setattr(LiveEngine, "warm_up", slow)
    monkeypatch.setattr(reload, "LOOK_S", 0.0)
    watcher = Listener()
    run_station(settings, engine, [camera("test://?rate=0&count=20&parts=2&size=64")], None, watcher, {})
    assert [each.verdict.threshold for each in watcher.seen if isinstance(each, Inspected)] == [0.25] * 20


def test_an_encoder_brings_parts_to_the_gate(tmp_path: Path, engine: Path) -> None:
    text = """
[run]
threshold = 0.0
[run.gate]
output = "simulated:gate.log"
distance_mm = 5.0
encoder = "simulated:200"
mm_per_pulse = 0.5
pulse_ms = 500.0
"""
    watcher = Listener()
    each = camera("test://?rate=20&count=20&parts=2&size=64")
    run_station(workspace(tmp_path, text), engine, [each], None, watcher, {})
    pulsed = [event for event in watcher.seen if isinstance(event, Pulsed)]
    assert len(pulsed) == 20
    assert sum(not event.missed for event in pulsed) > 10, "those on the belt at the end are missed"
    assert not any(event.late for event in pulsed)


@pytest.mark.parametrize(("distance", "told"), [("", 1), ("distance_mm = 0\n", 0)])
def test_a_gate_without_a_distance_is_told_at_the_start(tmp_path: Path, engine: Path, distance: str, told: int) -> None:
    watcher = Listener()
    settings = workspace(tmp_path, f'[run.gate]\noutput = "simulated:"\n{distance}')
    run_station(settings, engine, [camera("test://?rate=0&count=2&parts=2&size=64")], None, watcher, {})
    warnings = [each.text for each in watcher.seen if isinstance(each, Noticed) and each.level == "warning"]
    assert sum("as soon as a verdict is there" in each for each in warnings) == told


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("distance_mm = 400", "distance_mm needs the belt's speed"),
        ('distance_mm = 400\nencoder = "simulated:5"', "An encoder needs mm_per_pulse and distance_mm"),
        ('encoder = "simulated:5"\nmm_per_pulse = 1', "An encoder needs mm_per_pulse and distance_mm"),
        ('distance_mm = 4\nspeed_mm_s = 2\nencoder = "simulated:5"\nmm_per_pulse = 1', "and no speed_mm_s"),
        ('distance_mm = 400\nencoder = "wheel"\nmm_per_pulse = 1', "There is no encoder 'wheel'"),
    ],
)
def test_a_belt_that_cannot_be_is_told(tmp_path: Path, engine: Path, gate: str, said: str) -> None:
    text = f'[run.gate]\noutput = "simulated:"\n{gate}\n'
    with pytest.raises(UsageError, match=said):
        run_station(workspace(tmp_path, text), engine, [camera("test://")], None, Listener(), {})


def test_each_call_from_outside_has_a_verdict_with_its_part(tmp_path: Path, engine: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    watcher = Listener()

    def call() -> None:
        wait_for(lambda: any(isinstance(event, Dropped) and event.reason == "trigger" for event in watcher.seen))
        with socket.create_connection(("127.0.0.1", port), 5) as plc:
            for part in range(3):
                plc.sendall(f"A{part}\n".encode())
                assert plc.recv(16) == b"ok\n"
        wait_for(lambda: sum(isinstance(event, Inspected) for event in watcher.seen) == 3)
        os.kill(os.getpid(), signal.SIGTERM)

    plc = threading.Thread(target=call)
    plc.start()
    each = camera("test://?rate=100&parts=2&size=64", trigger=f"tcp://127.0.0.1:{port}?reply=1&timeout_ms=10000")
    tally = run_station(workspace(tmp_path), engine, [each], tmp_path / "out", watcher, {})
    plc.join()
    assert (tally.judged, tally.failed) == (3, 0)
    lines = [json.loads(line) for line in (tmp_path / "out/verdicts.jsonl").read_text().splitlines()]
    judged = [line for line in lines if line["event"] == "inspected"]
    assert [line["part"] for line in judged] == ["A0", "A1", "A2"]
    assert all(line["asked"] <= line["captured"] for line in judged)


def test_a_trigger_that_cannot_be_heard_ends_the_run_at_its_start(tmp_path: Path, engine: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sources = ["test://?parts=2&size=64"] * 2
        cameras = [camera(sources[0]), camera(sources[1], trigger=f"tcp://127.0.0.1:{port}")]
        with pytest.raises(AandEdgeError, match="No trigger can be heard"):
            run_station(workspace(tmp_path), engine, cameras, None, Listener(), {})


def test_frames_that_come_together_are_one_call_of_an_engine_that_takes_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = (build_engine(tiny_request(tmp_path / str(batch), batch=batch))[0] for batch in (1, 3))
    calls, infer = list[int](), LiveEngine.infer

    def counted(self: LiveEngine, frames: Frames) -> Outputs:
        calls.append(len(frames))
        return infer(self, frames)

    monkeypatch.setattr(LiveEngine, "infer", counted)
    scores = {}
    for engine in (alone, together):
        watcher = Listener()
        cameras = [camera(f"test://?rate=0&count={count}&parts=2&size=64&seed={count}") for count in (20, 30)]
        calls.clear()
        tally = run_station(workspace(tmp_path), engine, cameras, None, watcher, {})
        assert tally.judged == 50
        judged = [each for each in watcher.seen if isinstance(each, Inspected)]
        scores[engine] = {(each.camera, each.number): each.verdict.score for each in judged}
        for name in ("camera1", "camera2"):
            numbers = [each.number for each in judged if each.camera == name]
            assert numbers == sorted(numbers)
        assert set(calls) == {1 if engine == alone else 3}
        assert len(calls) == 50 if engine == alone else len(calls) < 50
    assert scores[together] == pytest.approx(scores[alone], abs=1e-6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop_with_everything_told(tmp_path: Path, engine: Path, number: signal.Signals) -> None:
    watcher, seconds = Listener(), list[float]()

    def send() -> None:
        wait_for(lambda: sum(isinstance(event, Inspected) for event in watcher.seen) > 3)
        seconds.append(time.monotonic())
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    cameras = [camera("test://?rate=100&parts=2&size=64")]
    before = signal.getsignal(number)
    tally = run_station(workspace(tmp_path), engine, cameras, None, watcher, {})
    sender.join()
    assert time.monotonic() - seconds[0] < 2
    assert signal.getsignal(number) is before
    events: list[Event] = watcher.seen
    assert tally.judged == sum(isinstance(event, Inspected) for event in events)
    assert [event.state.value for event in events if isinstance(event, SourceChanged)][:2] == ["connecting", "live"]
    assert not [each for each in threading.enumerate() if each.name.startswith("aand-")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("part", [Conveyor, Outlet])
def test_a_second_signal_leaves_gate_and_sinks_their_time_to_close(
    tmp_path: Path, engine: Path, number: signal.Signals, part: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = part.__exit__

    def signalled(self: Any, *raised: Any) -> None:
        os.kill(os.getpid(), number)
        closing(self, *raised)

    monkeypatch.setattr(part, "__exit__", signalled)
    astray = list[int]()
    before = signal.signal(number, lambda came, frame: astray.append(came))
    try:
        text = '[run]\nthreshold = 0.0\n[run.gate]\noutput = "simulated:gate.log"\npulse_ms = 100.0\n'
        cameras = [camera("test://?rate=0&count=3&parts=2&size=64")]
        run_station(workspace(tmp_path, text), engine, cameras, tmp_path / "out", Listener(), {})
    finally:
        signal.signal(number, before)
    assert astray == [], "what the process does by default would have ended it with the gate open, or the record torn"
    told = [json.loads(line)["event"] for line in (tmp_path / "out/verdicts.jsonl").read_text().splitlines()]
    assert (told.count("inspected"), told.count("pulsed")) == (3, 3)
    moves = [json.loads(line)["rejecting"] for line in (tmp_path / "gate.log").read_text().splitlines()]
    assert any(moves)
    assert moves[-1] is False


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_cannot_be_is_told_before_an_engine_is_loaded() -> None:
    twice = [camera("test://", name="top"), camera("test://", name="top")]
    with pytest.raises(UsageError, match="Two cameras have one name"):
        check_cameras(twice)
    with pytest.raises(UsageError, match="The cameras 'a b' and 'a_b' have one name in files and topics"):
        check_cameras([camera("test://", name="a b"), camera("test://", name="a_b")])
    with pytest.raises(UsageError, match="There is no trigger"):
        check_cameras([camera("test://", trigger="motion")])
    with pytest.raises(UsageError, match="There is no source"):
        check_cameras([camera("ftp://x")])


@pytest.mark.parametrize("name", ["status", "notices"])
def test_a_camera_with_a_topic_of_the_stations_own_is_refused(tmp_path: Path, name: str) -> None:
    found = workspace(tmp_path, '[run]\nline = "line7"\n[run.mqtt]\nhost = "broker"\n')
    cameras = [camera("test://", name="top"), camera("test://", name=name)]
    with pytest.raises(UsageError, match=f"'{name}' has the MQTT topic aand-edge/line7/{name}, the station's own"):
        run_station(found, tmp_path / "not-looked-for.json", cameras, None, Listener(), {})


@pytest.mark.parametrize(
    ("topic", "camera"),
    [
        ("plant/{camera}/events", "status"),  # plant/status/events beside plant/status
        ("plant/box", "status"),
        ("plant/box", "notices"),  # what all share by intent
        ("{camera}", "status"),  # beside aand-edge/status
        ("plant/{camera}", "Status"),
    ],
)
def test_a_name_is_refused_for_its_topic_alone(topic: str, camera: str) -> None:
    check_names(topic, [camera])


def test_topics_and_figures_carry_the_line(tmp_path: Path, engine: Path, broker: Broker) -> None:
    text = f"""
[run]
line = "hall 3/b"
[run.mqtt]
host = "127.0.0.1"
port = {broker.port}
"""
    listener = Subscriber(broker.port)
    cameras = [camera("test://?rate=0&count=3&parts=2&size=64", name="top")]
    run_station(workspace(tmp_path, text), engine, cameras, None, Listener(), {})
    until(lambda: ("aand-edge/hall_3_b/status", b"offline") in listener.got)
    listener.close()
    topics = [topic for topic, _ in listener.got]
    assert topics.count("aand-edge/hall_3_b/top") >= 3
    assert {topic.split("/")[1] for topic in topics} == {"hall_3_b"}
    assert Workspace(tmp_path, Settings()).settings.run.line_name == socket.gethostname()


# In a process of its own: what malloc has settled on once, it keeps.
STATION = """
import ctypes, sys
from pathlib import Path
from aand_edge.config import CameraSettings, Workspace
from aand_edge.runtime.station import run_station
from tests.unit.runtime.test_delivery import Listener

folder, engine = map(Path, sys.argv[1:])
camera = CameraSettings(source="test://?rate=0&count=20&parts=2&size=64")
run_station(Workspace.open(folder), engine, [camera], folder / "out", Listener(), {})
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="glibc's malloc")
@pytest.mark.parametrize(("asked", "arenas"), [({}, {2}), ({"MALLOC_ARENA_MAX": "5"}, {3, 4, 5})])
def test_threads_share_two_arenas_unless_the_environment_asks_for_others(
    tmp_path: Path, engine: Path, asked: dict[str, str], arenas: set[int]
) -> None:
    workspace(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", STATION, str(tmp_path), str(engine)],
        env=environment | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(re.findall("<heap nr=", done.stdout)) in arenas
