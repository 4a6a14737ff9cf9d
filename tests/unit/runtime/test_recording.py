"""Recording: pictures as a camera gives them, whole, as many as were asked for."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from aand_edge.config import CameraSettings
from aand_edge.data.pictures import read_picture
from aand_edge.errors import DataError, UsageError
from aand_edge.runtime.events import Event, Failed, SourceChanged
from aand_edge.runtime.recording import record


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Five pictures of 40 × 30."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(5):
        picture = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def unheard(event: Event) -> None:
    """Nobody listens."""


def pictures(folder: Path) -> list[np.ndarray]:
    return [read_picture(path) for path in sorted(folder.iterdir())]


def test_every_bit_of_every_frame_is_kept(parts: Path, tmp_path: Path) -> None:
    done = record([CameraSettings(source=str(parts))], tmp_path / "out", None, 0.0, unheard)
    assert (done.saved, done.failed, done.dropped) == (5, 0, 0)
    assert all(map(np.array_equal, pictures(tmp_path / "out"), pictures(parts)))


def test_region_and_flip_of_the_camera_are_those_of_the_line(parts: Path, tmp_path: Path) -> None:
    camera = CameraSettings(source=str(parts), flip="horizontal", roi=(5, 10, 20, 12))
    record([camera], tmp_path / "out", None, 0.0, unheard)
    wanted = [picture[:, ::-1][10:22, 5:25] for picture in pictures(parts)]
    assert all(map(np.array_equal, pictures(tmp_path / "out"), wanted))


def test_it_ends_with_as_many_as_were_asked_for(tmp_path: Path) -> None:
    camera = CameraSettings(source="test://?rate=0&size=64")  # which never ends
    assert record([camera], tmp_path / "out", 3, 0.0, unheard).saved == 3
    assert len(pictures(tmp_path / "out")) == 3


def test_pictures_of_a_camera_are_so_many_seconds_apart(tmp_path: Path) -> None:
    cameras = [CameraSettings(source="test://?rate=50&count=40&size=64", name=name) for name in ("top", "side")]
    done = record(cameras, tmp_path / "out", None, 0.3, unheard)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    for camera in ("top", "side"):
        moments = [datetime.strptime(name[:18], "%Y%m%dT%H%M%S%f") for name in names if f"-{camera}-" in name]
        assert len(moments) > 1
        assert all((later - earlier).total_seconds() > 0.25 for earlier, later in pairwise(moments))
    assert done.saved == len(names)
    assert done.saved + done.dropped == 80, "every frame is accounted for"


def test_one_picture_a_part_where_a_trigger_says_so(tmp_path: Path) -> None:
    (tmp_path / "belt").mkdir()
    for number in range(14):
        picture = np.full((60, 120, 3), 60, np.uint8)
        if number >= 4:
            cv2.rectangle(picture, (12 * (number - 4), 20), (12 * (number - 4) + 20, 40), (220, 220, 220), -1)
        cv2.imwrite(str(tmp_path / f"belt/{number:02}.png"), picture)
    camera = CameraSettings(source=str(tmp_path / "belt"), trigger="part-gate?line=0.5&axis=x")
    done = record([camera], tmp_path / "out", None, 0.0, unheard)
    assert (done.saved, done.dropped) == (1, 13)


def test_pictures_that_cannot_be_read_are_told_and_counted(parts: Path, tmp_path: Path) -> None:
    (parts / "2.png").write_bytes(b"no picture")
    heard: list[Event] = []
    done = record([CameraSettings(source=str(parts))], tmp_path / "out", None, 0.0, heard.append)
    assert (done.saved, done.failed) == (4, 1)
    assert [event.reason for event in heard if isinstance(event, Failed)]
    assert any(isinstance(event, SourceChanged) for event in heard)


def test_a_full_disk_ends_it_and_leaves_no_half_picture(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        if len(list((tmp_path / "out").glob("2*.png"))) == 2:
            path.touch()
            raise OSError(errno.ENOSPC, "No space left on device")
        with path.open("wb") as stream:
            return stream.write(content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"No space left on device\); 2 pictures lie there"):
        record([CameraSettings(source=str(parts))], tmp_path / "out", None, 0.0, unheard)
    monkeypatch.undo()
    assert len(pictures(tmp_path / "out")) == 2
    assert not [each for each in threading.enumerate() if each.name.startswith("aand-camera")]


def test_a_folder_that_cannot_be_is_refused_before_a_camera_is_opened(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UsageError, match="out"):
        record([CameraSettings(source=str(parts))], tmp_path / "out", None, 0.0, unheard)


def test_a_signal_ends_it_with_what_lies_there(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not list((tmp_path / "out").glob("*.png")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    done = record([CameraSettings(source="test://?rate=100&size=64")], tmp_path / "out", None, 0.0, unheard)
    assert done.saved == len(pictures(tmp_path / "out")) >= 1
