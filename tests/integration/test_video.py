"""A real clip by the command line: the whole of it is judged, and drawn into a video that lasts as long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from aand_edge.engines.build import build_engine
from tests.conftest import shared
from tests.graphs import tiny_request

PROGRAM = Path(sys.executable).with_name("aand-edge")


def opened(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path))
    assert video.isOpened()
    return video


def frames_of(video: cv2.VideoCapture) -> list[tuple[int, ...]]:
    """The shape of each frame that can be decoded."""
    shapes = []
    while True:
        there, picture = video.read()
        if not there:
            return shapes
        shapes.append(picture.shape)


def test_a_clip_is_judged_to_its_last_frame_and_drawn_at_its_own_rate(tmp_path: Path) -> None:
    clip = shared("data/video/bottle-detection.mp4")
    engine = build_engine(tiny_request(tmp_path))[0]
    (tmp_path / "aand-edge.toml").write_text("[run]\nthreshold = 0.9\nvideo = 'overlay.mp4'\n")
    command = [PROGRAM, "run", f"line={clip}", "--engine", engine.stem, "--out", "out", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    summary, wanted = json.loads(done.stdout), int(opened(clip).get(cv2.CAP_PROP_FRAME_COUNT))
    assert wanted == 1189
    assert (summary["judged"], summary["dropped"], summary["failed"]) == (wanted, 0, 0)
    lines = [json.loads(line) for line in (tmp_path / "out/verdicts.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines if line["event"] == "inspected"] == list(range(wanted))
    (drawn,) = tmp_path.glob("overlay-line-*.mp4")
    shapes = frames_of(opened(drawn))
    assert len(shapes) == wanted
    assert set(shapes) == {(360 + 18, 640, 3)}
    rates = [opened(each).get(cv2.CAP_PROP_FPS) for each in (clip, drawn)]
    assert rates[1] == pytest.approx(rates[0], abs=0.01)


def test_a_slow_video_of_files_is_written_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More frames wait for the sink when the files end than it can draw in the second that a stop leaves it."""
    from aand_edge.config import CameraSettings, Workspace
    from aand_edge.runtime.sinks import video
    from aand_edge.runtime.station import run_station
    from tests.unit.runtime.test_delivery import Listener

    drawn = video.captioned

    def slowly(*arguments: object) -> np.ndarray:
        import time

        time.sleep(0.06)
        return drawn(*arguments)

    monkeypatch.setattr(video, "captioned", slowly)
    engine = build_engine(tiny_request(tmp_path))[0]
    (tmp_path / "aand-edge.toml").write_text("[run]\nvideo = 'overlay.mp4'\n")
    cameras = [CameraSettings(source="test://?rate=0&count=30&parts=2&size=64", name="line")]
    run_station(Workspace.open(tmp_path), engine, cameras, None, Listener(), {})
    (path,) = tmp_path.glob("overlay-line-*.mp4")
    assert len(frames_of(opened(path))) == 30
