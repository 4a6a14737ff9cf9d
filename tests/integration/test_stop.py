"""SIGTERM to a real process with everything in its way: a camera that hangs, sinks that hang, parts on the belt."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aand_edge.engines.build import build_engine
from tests.broker import until
from tests.graphs import tiny_request

MAIN = "from aand_edge.cli import main; main()"


class Mute:
    """Takes connections and never says a word: a camera, a broker and a web server that hang."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self.taken.append(self._server.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for each in self.taken:
            each.close()


@pytest.fixture
def mute() -> Iterator[Mute]:
    made = Mute()
    yield made
    made.close()


def settings(port: int) -> str:
    return f"""
[run]
threshold = -1.0
[[run.cameras]]
name = "live"
source = "test://?rate=50&parts=2&size=64"
[[run.cameras]]
name = "hangs"
source = "rtsp://127.0.0.1:{port}/line"
[run.gate]
output = "simulated:gate.log"
distance_mm = 1000.0
speed_mm_s = 100.0
[run.mqtt]
host = "127.0.0.1"
port = {port}
queue = "queue"
[run.webhook]
url = "http://127.0.0.1:{port}/"
"""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_sigterm_ends_it_in_time_with_everything_written(tmp_path: Path, mute: Mute) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    build_engine(tiny_request(tmp_path))
    (tmp_path / "aand-edge.toml").write_text(settings(mute.port))
    command = [sys.executable, "-c", MAIN, "run", "--out", "out", "--json"]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    record = tmp_path / "out/verdicts.jsonl"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: sum(each["event"] == "inspected" for each in lines(record)) > 20, 60)
            until(lambda: len(mute.taken) >= 3, 60)
            start = time.monotonic()
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=20)
            took = time.monotonic() - start
        finally:
            process.kill()
    assert process.returncode == 0
    assert took < 2 + busy(), "drained and ended"
    check(lines(record), json.loads(said))
    assert lines(tmp_path / "gate.log")[-1]["rejecting"] is False


def busy() -> float:
    """Seconds that this machine needs for nothing, beside what else it does."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numpy, cv2, onnxruntime"], check=True)
    return time.monotonic() - start


def check(events: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Each number of a camera has one fate, in order; the record and the summary agree."""
    expected: dict[str, int] = defaultdict(int)
    for each in events:
        if each["event"] in ("inspected", "failed", "dropped"):
            expected[each["camera"]] += each.get("count", 1)
            assert each["number"] == expected[each["camera"]] - 1
    assert sum(each["event"] == "inspected" for each in events) == summary["judged"]
    assert sum(each.get("count", 0) for each in events if each["event"] == "dropped") == summary["dropped"]
    rejected = [(each["camera"], each["number"]) for each in events if each["event"] == "inspected"]
    pulsed = [(each["camera"], each["number"]) for each in events if each["event"] == "pulsed"]
    assert sorted(pulsed) == sorted(rejected), "each part on the belt is told"
    assert summary["gate_missed"] == len(pulsed)
