"""`record`: what it tells, and how it ends where nothing could be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aand_edge.data.layouts import read_category
from tests.commands import Command, run

SOURCE = "test://?rate=0&size=64"


def test_what_was_recorded_can_be_trained_on(command: Command, tmp_path: Path) -> None:
    done = command("record", SOURCE, "--count", "10", "--out", "good parts", "--json")
    assert done.code == 0
    assert json.loads(done.out) == {"folder": "good parts", "saved": 10, "failed": 0, "dropped": 0}
    assert len(read_category(tmp_path / "good parts").train) == 10


def test_the_pictures_are_counted_for_people(command: Command) -> None:
    done = command("record", f"top={SOURCE}", "--count", "2")
    assert done.code == 0
    assert "pictures" in done.out


def test_nothing_recorded_is_no_success(command: Command, tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes(b"no picture")
    done = command("record", "part.png")
    assert done.code == 1
    assert "error: No picture was saved: 1 failed, 0 were passed over. See what is told above" in done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "No source was named"),
        (("usb://0",), "There is no source"),
        ((SOURCE, "--every", "nan"), "--every"),
        ((SOURCE, "--count", "0"), "--count"),
        ((SOURCE, "--rate", "-1"), "--rate -1"),
        ((SOURCE, "--roi", "1,2"), "is no region"),
        ((SOURCE, "--size", "640"), "for example --size 1280x720"),
        (("parts", "--out", "parts"), "parts is the source. Take another folder with --out."),
    ],
)
def test_what_cannot_be_is_refused(command: Command, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a.png").write_bytes(b"a picture")
    done = command("record", *arguments)
    assert done.code == 2
    assert sentence in done.err


def test_a_region_that_no_frame_has_ends_it(command: Command) -> None:
    done = command("record", SOURCE, "--roi", "60,0,10,10")
    assert done.code == 1
    assert "error: 30 frames failed and none was saved. The region 10x10+60+0 leaves the picture of 64x64" in done.err


def test_a_camera_that_is_lost_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "part.mp4").write_bytes(b"no video")
    done = run(tmp_path, "record", "part.mp4", code=1)  # in a process of its own: logging has its last resort there
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["camera1 is lost", "failed", "error"]
