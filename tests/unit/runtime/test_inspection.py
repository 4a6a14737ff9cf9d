"""Every frame is accounted for: judged, or failed with a reason; what is recorded can be read back."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from aand_edge.artifacts import EngineManifest
from aand_edge.engines.build import build_engine
from aand_edge.engines.load import load_engine
from aand_edge.errors import DataError, UsageError
from aand_edge.runtime.inspection import inspect_frames
from aand_edge.runtime.pictures import Frame
from aand_edge.runtime.record import Recorder
from tests.graphs import SIZE, tiny_frames, tiny_request


def frame(number: int, side: int = SIZE) -> Frame:
    picture = tiny_frames(number + 1, side)[number]
    return Frame(number, f"{number}.png", picture, float(number), datetime(2026, 1, 2, 3, 4, 5, 6000, timezone.utc))


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


def test_each_frame_is_judged_or_fails(engine: Path, tmp_path: Path) -> None:
    manifest, runner = load_engine(engine)
    failures: list[Exception] = []
    with runner, Recorder(tmp_path / "out") as recorder:
        frames = [frame(0), DataError("torn"), frame(1)]
        tally = inspect_frames(frames, manifest, runner, recorder.append, failures.append)
    assert (tally.judged, tally.failed) == (2, 1)
    assert [str(each) for each in failures] == ["torn"]
    lines = [json.loads(line) for line in (tmp_path / "out/verdicts.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["0.png", "1.png"]
    assert lines[1]["captured"] == 1.0
    assert lines[1]["time"] == "2026-01-02T03:04:05.006+00:00"


def test_a_frame_of_another_size_is_no_frame_for_an_engine_with_a_region(engine: Path) -> None:
    manifest, runner = load_engine(engine)
    regional = EngineManifest.model_validate({**manifest.model_dump(), "roi": (0, 0, SIZE, SIZE)})
    failures: list[Exception] = []
    with runner:
        tally = inspect_frames([frame(0), frame(0, 64)], regional, runner, lambda *_: None, failures.append)
    assert (tally.judged, tally.failed) == (1, 1)
    assert "0.png is 64x64, and the engine looks at a region of 32x32" in str(failures[0])


def test_without_a_region_any_size_is_resized(engine: Path) -> None:
    manifest, runner = load_engine(engine)
    with runner:
        tally = inspect_frames([frame(0, 64)], manifest, runner, lambda *_: None, lambda _: None)
    assert tally.judged == 1


def test_verdicts_of_two_runs_are_not_mixed(tmp_path: Path) -> None:
    with Recorder(tmp_path / "out"):
        pass
    with pytest.raises(UsageError, match="holds the verdicts of another run"), Recorder(tmp_path / "out"):
        pass
