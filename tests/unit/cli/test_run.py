"""`run`: what its summary tells, and how it ends where nothing could be judged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aand_edge.cli.console import Console
from aand_edge.engines.build import build_engine
from aand_edge.runtime.events import Event, SourceChanged, SourceState, now
from aand_edge.runtime.sinks.jsonl import JsonlSink
from tests.commands import Command
from tests.graphs import tiny_request

SOURCE = "test://?rate=0&count=3&parts=2&size=64"


@pytest.fixture(autouse=True)
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


def test_a_file_that_is_no_video_ends_in_an_error_and_not_in_an_empty_success(command: Command, tmp_path: Path) -> None:
    (tmp_path / "part.mp4").write_bytes(b"no video")
    done = command("run", "part.mp4")
    assert done.code == 1
    assert "part.mp4 cannot be opened. It is no video, or damaged" in done.err
    assert "No picture could be judged" in done.err
    assert "moov" not in done.err, "FFmpeg's own words"


def test_to_go_on_in_a_folder_it_must_be_named(command: Command) -> None:
    done = command("run", SOURCE, "--append")
    assert done.code == 2
    assert done.err.strip() == "error: --append goes on in a folder, and none was named. Name it with --out."


def test_another_runs_folder_is_gone_on_in_only_when_asked(command: Command, tmp_path: Path) -> None:
    assert command("run", SOURCE, "--out", "verdicts").code == 0
    again = command("run", SOURCE, "--out", "verdicts")
    assert again.code == 2
    assert "or go on in it with --append" in again.err
    assert command("run", SOURCE, "--out", "verdicts", "--append").code == 0
    lines = (tmp_path / "verdicts/verdicts.jsonl").read_text().splitlines()
    assert sum('"event": "inspected"' in line or '"event":"inspected"' in line for line in lines) == 6


def test_what_a_record_did_not_take_is_told_at_the_end(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last frame nobody hears a sink's own notice any more."""

    def full(self: JsonlSink, event: Event) -> None:
        time.sleep(0.3)  # until the loop has ended
        raise OSError("the disk is full")

    monkeypatch.setattr(JsonlSink, "append", full)
    done = command("run", SOURCE, "--out", "verdicts")
    assert re.search(r"^warning: jsonl did not take \d+ of what it was told", done.err, re.MULTILINE)


def test_a_record_that_was_mended_on_opening_says_so(command: Command, tmp_path: Path) -> None:
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts/verdicts.jsonl").write_text('{"event": "insp')
    done = command("run", SOURCE, "--out", "verdicts", "--append")
    assert done.code == 0
    assert "warning: verdicts/verdicts.jsonl ended within a line: its last 15 bytes were cut off" in done.err


def test_a_region_outside_of_every_picture_is_told_once_with_how_many_there_were(command: Command) -> None:
    done = command("run", SOURCE, "--roi", "60,0,10,10")
    assert done.code == 1
    assert done.err.splitlines() == [
        "failed: The region 10x10+60+0 leaves the picture of 64x64. Mend roi of that camera.",
        "failed: 2 more, for the same reason",
        "error: No picture could be judged. See what is told of the source above.",
    ]


def test_a_threshold_below_every_score_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("run", SOURCE, "--threshold", "-0.05")
    assert (done.code, done.out) == (2, "")
    assert "error: --threshold -0.05: Input should be greater than or equal to 0" in done.err
    (tmp_path / "aand-edge.toml").write_text("[run]\nthreshold = -0.05\n")
    done = command("run", SOURCE)
    assert done.code == 2
    assert "run.threshold: Input should be greater than or equal to 0" in done.err


def test_two_cameras_of_one_name_are_told_where_to_mend_it(command: Command, tmp_path: Path) -> None:
    assert "Give each a name of its own: NAME=SOURCE." in command("run", f"a={SOURCE}", f"a={SOURCE}").err
    table = f'[[run.cameras]]\nname = "a"\nsource = "{SOURCE}"\n'
    (tmp_path / "aand-edge.toml").write_text(2 * table)
    assert "Give each a name of its own: name under [[run.cameras]]." in command("run").err


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_has_gone_does_not_change_the_exit_code(tmp_path: Path, more: list[str], both: bool) -> None:
    """As in `run … | head`, or a terminal that is closed."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", "from aand_edge.cli import main; main()", "run", SOURCE, "--out", "verdicts", *more],
        cwd=tmp_path,
        stdout=write,
        stderr=write if both else subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "verdicts/verdicts.jsonl").read_text().count('"inspected"') == 3
    if not both:
        said = "warning: nobody reads what is printed any more; parts are judged all the same"
        assert done.stderr.splitlines() == [said]


def test_a_camera_that_was_lost_is_told_when_it_is_back(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=False)
    for state in (SourceState.LIVE, SourceState.LOST, SourceState.CONNECTING, SourceState.LIVE, SourceState.LIVE):
        console.append(SourceChanged("top", state, "The folder x is away", now()))
    assert capsys.readouterr().err == "top is lost: The folder x is away\ntop is live again\n"


def test_where_several_cameras_run_a_failure_names_its_own(command: Command) -> None:
    done = command("run", f"top={SOURCE}", f"side={SOURCE}", "--roi", "60,0,10,10")
    told = [line for line in done.err.splitlines() if line.startswith("failed: ")]
    reason = "The region 10x10+60+0 leaves the picture of 64x64. Mend roi of that camera."
    assert sorted(told) == sorted(
        f"failed: {camera}: {text}" for camera in ("top", "side") for text in (reason, "2 more, for the same reason")
    )


def test_parts_that_the_gate_missed_are_in_the_summary(command: Command, tmp_path: Path) -> None:
    """The clip ends long before its parts come to a gate one metre away."""
    (tmp_path / "aand-edge.toml").write_text(
        '[run]\nthreshold = 0.0\n[run.gate]\noutput = "simulated:gate.log"\ndistance_mm = 1000\nspeed_mm_s = 10\n'
    )
    done = command("run", SOURCE)
    assert done.code == 0
    assert "missed by the gate" in done.out
    assert "3 of the rejected parts" in done.out
