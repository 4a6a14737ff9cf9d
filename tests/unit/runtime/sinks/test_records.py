"""What is written beside the line can be read back, is bounded, and survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from aand_edge.errors import UsageError
from aand_edge.runtime.events import Dropped, Inspected, Timing
from aand_edge.runtime.sinks.jsonl import JsonlSink
from aand_edge.runtime.sinks.rejects import RejectsSink
from aand_edge.runtime.verdict import Region, Verdict
from tests.frames import TIME, frame


def inspected(number: int, rejected: bool = True, days: float = 0) -> Inspected:
    anomaly_map = np.zeros((16, 16), np.float32)
    anomaly_map[4:6, 4:6] = 2
    shown = replace(frame(number), number=number, time=TIME + timedelta(days=days))
    verdict = Verdict(2.0, 1.0, rejected, (Region(8, 8, 4, 4, 16.0),) if rejected else ())
    return Inspected(shown, verdict, anomaly_map, Timing(1, 0.5, 10, 0.5, 12), rejected)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_an_event_and_a_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    with JsonlSink(tmp_path / "out") as sink:
        sink.append(inspected(0))
        sink.append(Dropped("a", 3, 2, "newest", TIME))
    first, second = lines(tmp_path / "out/verdicts.jsonl")
    assert (first["event"], first["number"], first["rejected"]) == ("inspected", 0, True)
    assert first["regions"] == [{"x": 8, "y": 8, "width": 4, "height": 4, "area": 16.0}]
    assert (second["event"], second["count"]) == ("dropped", 2)
    with pytest.raises(UsageError, match="holds the verdicts of another run"), JsonlSink(tmp_path / "out"):
        pass
    with JsonlSink(tmp_path / "out", append=True) as sink:
        sink.append(inspected(1))
    assert len(lines(tmp_path / "out/verdicts.jsonl")) == 3


def test_a_line_that_a_kill_tore_is_cut_off_and_said(tmp_path: Path) -> None:
    (tmp_path / "verdicts.jsonl").write_text('{"a": 1}\n{"b": ')
    with JsonlSink(tmp_path, append=True) as sink:
        assert "its last 6 bytes were cut off" in sink.notice
        sink.append(inspected(1))
    assert len(lines(tmp_path / "verdicts.jsonl")) == 2


def test_files_are_bounded_in_size_and_in_all(tmp_path: Path) -> None:
    with JsonlSink(tmp_path, max_mb=0.002, keep_mb=0.006) as sink:
        for number in range(60):
            sink.append(inspected(number))
    files = sorted(tmp_path.glob("verdicts*.jsonl"))
    assert all(path.stat().st_size <= 2000 for path in files)
    assert sum(path.stat().st_size for path in files) <= 6000
    kept = [each["number"] for path in files for each in lines(path)]
    assert max(int(str(number)) for number in kept) == 59


def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path) -> None:
    with JsonlSink(tmp_path, max_mb=0.001) as sink:
        sink.append(inspected(0))
        (tmp_path / "verdicts.jsonl").rename(tmp_path / "moved")
        for number in range(1, 12):
            sink.append(inspected(number))
    files = [tmp_path / "moved", *sorted(tmp_path.glob("verdicts-*.jsonl")), tmp_path / "verdicts.jsonl"]
    assert [line["number"] for path in files for line in lines(path)] == list(range(12))


def test_a_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    with JsonlSink(tmp_path) as sink:
        sink.append(inspected(0))
        sink.append(inspected(1, days=1))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["verdicts-2026-01-02.001.jsonl", "verdicts.jsonl"]


WRITER = """
import sys
from pathlib import Path
from aand_edge.runtime.sinks.jsonl import JsonlSink
from tests.unit.runtime.sinks.test_records import inspected
with JsonlSink(Path(sys.argv[1])) as sink:
    for number in range(1_000_000):
        sink.append(inspected(number))
        if number == 50:
            print("go", flush=True)
"""


def test_a_kill_leaves_every_earlier_line_whole(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[4])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    whole = (tmp_path / "verdicts.jsonl").read_text().rpartition("\n")[0].splitlines()
    assert len(whole) > 50
    assert [json.loads(line)["number"] for line in whole] == list(range(len(whole)))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """Past a limit on a file's size the system writes a part of a line and then fails, as on a full disk."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        + WRITER.replace("sink.append(inspected(number))", "write(sink, number)")
        .replace("1_000_000", "30")
        .replace(
            "with Jsonl",
            "failed = 0\ndef write(sink, number):\n"
            "    global failed\n    try: sink.append(inspected(number))\n"
            "    except OSError: failed += 1\nwith Jsonl",
        )
        + "\nassert failed > 10, failed\n"
    )
    root = str(Path(__file__).parents[4])
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root, env=environment, check=True)
    text = (tmp_path / "verdicts.jsonl").read_text()
    assert text.endswith("\n")
    assert [json.loads(line)["number"] for line in text.splitlines()] == list(range(text.count("\n")))


def test_rejected_parts_are_shown_and_the_rest_is_not(tmp_path: Path) -> None:
    with RejectsSink(tmp_path, save_map=True, picture="png") as sink:
        sink.append(inspected(0, rejected=False))
        sink.append(inspected(7))
    names = sorted(path.name for path in tmp_path.iterdir())
    stem = "20260102T030405006Z-a-000007-2.0000"
    assert names == [f"{stem}-map.npy", f"{stem}-overlay.jpg", f"{stem}.png"]
    assert (cv2.imread(str(tmp_path / f"{stem}.png")) == inspected(7).frame.picture).all()
    assert np.load(tmp_path / f"{stem}-map.npy").shape == (16, 16)


def test_rejected_parts_take_no_more_room_than_they_may(tmp_path: Path) -> None:
    with RejectsSink(tmp_path, quota_mb=0.01) as sink:
        for number in range(40):
            sink.append(inspected(number))
    kept = list(tmp_path.iterdir())
    assert sum(path.stat().st_size for path in kept) <= 10_000
    assert any("-000039-" in path.name for path in kept)
    assert not any("-000000-" in path.name for path in kept)
