"""systemd hears of a loop that turns, and of nothing where the loop or its engine hangs; a camera may be away."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from aand_edge.config import CameraSettings, Workspace
from aand_edge.engines.base import Frames, Outputs
from aand_edge.engines.build import build_engine
from aand_edge.runtime import watchdog as module
from aand_edge.runtime.events import Event, SourceChanged, SourceState, now
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import Loop, LoopSettings
from aand_edge.runtime.mailbox import Item, Mailbox, Policy
from aand_edge.runtime.station import run_station
from aand_edge.runtime.watchdog import ServiceManager, Watchdog
from tests.frames import frame
from tests.graphs import tiny_request
from tests.unit.runtime.test_delivery import Listener
from tests.unit.runtime.test_loop import Fed

PATIENCE_S = 1.0  # a quarter of it lies between two words

Message = dict[str, str]


class Manager:
    """systemd's side of NOTIFY_SOCKET: a real datagram socket, and what came of it so far."""

    def __init__(self, address: str) -> None:
        self.heard: list[Message] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address[0] == "@" else address)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while text := self._socket.recv(4096).decode():
            self.heard.append(dict(line.split("=", 1) for line in text.split("\n")))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def words(self) -> int:
        return sum("WATCHDOG" in each for each in self.heard)

    def said(self, name: str) -> list[str]:
        return [each[name] for each in self.heard if name in each]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    opened = Manager(address)
    yield opened
    opened.close()


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_lines_reach_a_socket_of_either_kind(tmp_path: Path, kind: str) -> None:
    address = f"@aand-edge-{os.getpid()}" if kind == "abstract" else str(tmp_path / "socket")
    manager = Manager(address)
    with ServiceManager.from_environment({"NOTIFY_SOCKET": address}) as opened:
        opened.tell(READY=1, STATUS="one\nline")
        wait_for(lambda: manager.heard)
    manager.close()
    assert manager.heard == [{"READY": "1", "STATUS": "one line"}]


@pytest.mark.parametrize(
    ("environment", "patience"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_a_watchdog_is_told_by_the_environment(environment: dict[str, str], patience: float | None) -> None:
    assert ServiceManager.from_environment(environment).patience_s == patience


def test_without_a_manager_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), ServiceManager("vsock:2:1234") as manager:
        manager.tell(READY=1)
    assert "is no unix socket" in caplog.text
    with ServiceManager(None) as manager:
        manager.tell(READY=1)


def test_a_manager_that_is_gone_or_does_not_read_holds_nothing_up(address: str) -> None:
    with ServiceManager(address) as manager:
        manager.tell(WATCHDOG=1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
            deaf.bind(address)
            start = time.monotonic()
            for _ in range(5000):  # far more than the kernel keeps
                manager.tell(WATCHDOG=1)
            assert time.monotonic() - start < 5
            assert deaf.recv(100) == b"WATCHDOG=1"


def test_a_container_reads_the_word_from_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.write_text("1\n")
    with ServiceManager.from_environment({"AAND_EDGE_HEARTBEAT": str(heartbeat)}) as manager:
        manager.tell(STATUS="loading")
        assert not heartbeat.exists(), "before the loop turns there is no word"
        manager.tell(READY=1, WATCHDOG=1)
        assert heartbeat.read_text() == f"{os.getpid()}\n"
        os.utime(heartbeat, (0, 0))
        manager.tell(WATCHDOG=1)
        assert heartbeat.stat().st_mtime > 0
    with caplog.at_level(logging.DEBUG), ServiceManager(None, heartbeat=tmp_path / "absent/heartbeat") as manager:
        manager.tell(WATCHDOG=1)
    assert "the heartbeat was not written" in caplog.text


def test_words_are_a_fraction_of_the_patience_apart(
    manager: Manager, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: moment))
    with ServiceManager(address, PATIENCE_S) as opened:
        watchdog = Watchdog(opened, lambda: f"fine at {moment:.2f}")
        watchdog.ready()
        for step in range(1, 6 * 64 + 1):  # 6 s
            moment += 1 / 64
            watchdog.beat()
            wait_for(lambda words=1 + step // 16: manager.words() == words)
    assert manager.heard[0] == {"READY": "1", "WATCHDOG": "1", "STATUS": "fine at 100.00"}
    assert len(manager.said("STATUS")) == 2, "a line for people comes every 5 s"


def test_an_engine_that_loads_slowly_is_waited_for(
    manager: Manager, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ServiceManager(address, 0.3) as opened, caplog.at_level(logging.WARNING):
        watchdog = Watchdog(opened)
        watchdog.starting("loading")
        time.sleep(0.15)
        watchdog.ready()
        wait_for(lambda: manager.said("READY"))
    assert int(manager.said("EXTEND_TIMEOUT_USEC")[0]) == 300_000_000
    assert 450_000 <= int(manager.said("WATCHDOG_USEC")[0]) < 5_000_000
    assert "WatchdogSec is raised" in caplog.text


def turn(engine: LiveEngine, opened: ServiceManager, items: list[Item], ends: bool) -> tuple[Loop, threading.Thread]:
    """A loop with a watchdog, in a thread; `ends`: when the items are judged."""
    mailbox = Mailbox({"a": Policy.LOSSLESS})
    look = Watchdog(opened).around(lambda settings: settings)
    loop = Loop(engine, mailbox, [Fed(mailbox, items, ends=ends)], [], LoopSettings(), look_around=look)
    thread = threading.Thread(target=loop.run)
    thread.start()
    return loop, thread


def test_an_engine_that_hangs_silences_the_loop(
    manager: Manager, address: str, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, free = threading.Event(), threading.Event()
    original = LiveEngine.infer

    def infer(self: LiveEngine, frames: Frames) -> Outputs:
        hangs.set()
        assert free.wait(20)
        return original(self, frames)

    monkeypatch.setattr(LiveEngine, "infer", infer)
    with LiveEngine(engine) as live, ServiceManager(address, PATIENCE_S) as opened:
        loop, thread = turn(live, opened, [frame(0), frame(1)], ends=False)
        assert hangs.wait(20)
        time.sleep(0.1)  # what was said before it hung arrives
        before = manager.words()
        time.sleep(PATIENCE_S)
        assert manager.words() == before, "the loop's word came while its engine hung"
        free.set()
        wait_for(lambda: manager.words() > before)
        loop.stop()
        thread.join(20)


def test_a_camera_that_is_lost_does_not(manager: Manager, address: str, engine: Path) -> None:
    lost = SourceChanged("a", SourceState.LOST, "the cable was pulled", now())
    with LiveEngine(engine) as live, ServiceManager(address, PATIENCE_S) as opened:
        loop, thread = turn(live, opened, [frame(0), lost, frame(1)], ends=False)
        wait_for(lambda: loop.tally.judged == 2)
        before = manager.words()
        wait_for(lambda: manager.words() >= before + 3)
        loop.stop()
        thread.join(20)


def test_a_station_tells_how_it_starts_reloads_and_stops(
    manager: Manager, address: str, tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    (tmp_path / "aand-edge.toml").write_text("[run]\nthreshold = 0.0\n")
    watcher = Listener()
    away = CameraSettings(source="v4l2:///dev/video99", name="top")

    def steer() -> None:
        wait_for(lambda: any(isinstance(each, SourceChanged) and each.state is SourceState.LOST for each in heard()))
        os.kill(os.getpid(), signal.SIGHUP)
        wait_for(lambda: len(manager.said("READY")) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    def heard() -> list[Event]:
        return watcher.seen

    steering = threading.Thread(target=steer)
    steering.start()
    run_station(Workspace.open(tmp_path), engine, [away], None, watcher, {})
    steering.join()
    wait_for(lambda: manager.said("STOPPING"))
    told = [name for each in manager.heard for name in each if name in ("EXTEND_TIMEOUT_USEC", "READY", "RELOADING")]
    assert told == ["EXTEND_TIMEOUT_USEC", "EXTEND_TIMEOUT_USEC", "READY", "RELOADING", "READY"]
    assert manager.said("STATUS")[:3] == [
        f"loading {engine.stem}",
        f"warming {engine.stem} up",
        "0 judged, 0 rejected, 0 failed; top connecting",
    ]
    assert int(manager.said("MONOTONIC_USEC")[0]) > 0
