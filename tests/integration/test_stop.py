"""SIGTERM to a real process with everything in its way: a camera that hangs, sinks that hang, parts on the belt."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aand_edge.engines.build import build_engine
from tests.broker import until
from tests.graphs import tiny_request
from tests.mute import Mute

MAIN = "from aand_edge.cli import main; main()"


@pytest.fixture
def mute() -> Iterator[Mute]:
    made = Mute()
    yield made
    made.close()


def settings(port: int) -> str:
    return f"""
[run]
threshold = 0.0
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


# Every new build takes for ever to load, within the engine's library nearly all the time.
LOADS_FOR_EVER = """
import pathlib
from aand_edge.runtime import live_engine
load, first = live_engine.load_engine, True
def load_for_ever(place):
    global first
    while not first:
        load(place)[1].close()
        pathlib.Path("loading").touch()
    first = False
    return load(place)
live_engine.load_engine = load_for_ever
"""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_sigterm_ends_it_in_time_with_everything_written(tmp_path: Path, mute: Mute) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    (tmp_path / "aand-edge.toml").write_text(settings(mute.port))
    with running(tmp_path) as process:
        until(lambda: judged(tmp_path) > 20, 60)
        until(lambda: len(mute.taken) >= 3, 60)
        took, said = terminated(process)
    assert process.returncode == 0
    assert took < 2 + busy(), "drained and ended"
    check(lines(tmp_path / "out/verdicts.jsonl"), json.loads(said))
    assert lines(tmp_path / "gate.log")[-1]["rejecting"] is False


def test_sigterm_ends_it_in_time_where_all_counterparts_hang_at_once(tmp_path: Path, mute: Mute) -> None:
    """Gate, encoder, two cameras, broker, web server, who reads the figures: their limits do not add up."""
    for package in ("paho.mqtt.client", "prometheus_client", "pymodbus"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    gate, encoder, port = Mute(echoes=1), Mute(), free_port()
    (tmp_path / "aand-edge.toml").write_text(all_mute(mute.port, gate.port, encoder.port, port))
    try:
        with running(tmp_path) as process:
            until(lambda: judged(tmp_path) > 20, 60)
            until(lambda: len(mute.taken) >= 3 and len(encoder.heard) > 0, 60)
            with socket.create_connection(("127.0.0.1", port)) as reader:
                reader.send(b"GET /metrics HTTP/1.1\r\n")
                until(lambda: len(gate.heard) > 1, 60)  # it is told its position again, and does not answer
                took, said = terminated(process)
        assert process.returncode == 0
        assert took < 6, "ten seconds for each answer of the PLC"
        events = lines(tmp_path / "out/verdicts.jsonl")
        check(events, json.loads(said))
        assert all(each["missed"] for each in events if each["event"] == "pulsed")
        told = [each["text"] for each in events if each["event"] == "noticed"]
        assert any("did not confirm its safe position" in text for text in told)
        assert gate.coil[-1] is False
        assert len(gate.coil) > 2, "cut off in the middle, it was told once more"
    finally:
        gate.close()
        encoder.close()


def test_sigterm_ends_it_in_time_while_a_new_engine_is_loaded(tmp_path: Path) -> None:
    source = 'source = "test://?rate=50&parts=2&size=64"'
    (tmp_path / "aand-edge.toml").write_text(f"[run]\n[[run.cameras]]\n{source}\n")
    with running(tmp_path, LOADS_FOR_EVER) as process:
        until(lambda: judged(tmp_path) > 20, 60)
        os.utime(next((tmp_path / "engines").glob("*.json")))
        until((tmp_path / "loading").exists, 60)
        took, said = terminated(process)
    assert process.returncode == 0, "neither killed nor aborted"
    assert took < 2 + busy()
    assert json.loads(said)["judged"] == judged(tmp_path)


def all_mute(cloud: int, gate: int, encoder: int, metrics: int) -> str:
    simulated = 'output = "simulated:gate.log"\ndistance_mm = 1000.0\nspeed_mm_s = 100.0\n'
    plc = f"""
output = "modbus://127.0.0.1:{gate}/coil/3?timeout_ms=10000"
encoder = "modbus://127.0.0.1:{encoder}/holding/7?timeout_ms=10000"
mm_per_pulse = 0.5
distance_mm = 1000.0
"""
    reads_for_long = '[[run.cameras]]\nname = "slow"\nsource = "test://?rate=0.01&parts=2&size=64"\n'
    return settings(cloud).replace(simulated, plc) + f"[run.metrics]\nport = {metrics}\n" + reads_for_long


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def running(folder: Path, before: str = "") -> Iterator[subprocess.Popen[str]]:
    build_engine(tiny_request(folder))
    command = [sys.executable, "-c", before + MAIN, "run", "--out", "out", "--json"]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def judged(folder: Path) -> int:
    return sum(each["event"] == "inspected" for each in lines(folder / "out/verdicts.jsonl"))


def terminated(process: subprocess.Popen[str]) -> tuple[float, str]:
    """How many seconds it took to end after SIGTERM, and what it said."""
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    return time.monotonic() - start, said


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
