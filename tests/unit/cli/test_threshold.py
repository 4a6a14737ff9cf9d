"""`threshold` from labelled pictures."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from aand_edge.artifacts import EngineManifest
from aand_edge.engines.build import build_engine
from aand_edge.errors import UsageError
from tests.commands import Command
from tests.graphs import tiny_request
from tests.models import write_card, write_category

F1 = (
    "F1 1.000: of these pictures it rejects 0 of 1 good ones and misses 0 of 1 anomalous ones; "
    "it promises nothing for new ones."
)


def write_labelled(folder: Path) -> Path:
    """Black good parts, and a grey one with a defect."""
    write_category(folder)
    (folder / "test/scratch").mkdir()
    cv2.imwrite(str(folder / "test/scratch/0.png"), np.full((64, 64, 3), 128, np.uint8))
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine whose model was trained on the category `tiny`."""
    write_card(tmp_path / "models/tiny", "tiny", write_labelled(tmp_path / "pictures/tiny"))
    return build_engine(tiny_request(tmp_path))[0]


@pytest.mark.parametrize("rule", ["f1", "rate"])
def test_labelled_pictures_need_no_package_that_a_device_lacks(
    command: Command, engine: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    for package in ("sklearn", "sklearn.metrics", "scipy", "scipy.ndimage", "torch"):
        monkeypatch.setitem(sys.modules, package, None)
    done = command("threshold", "--rule", rule)
    assert done.code == 0, done.err
    threshold = EngineManifest.read(engine).threshold
    assert threshold.rule == rule
    assert 0 <= threshold.value < 128 / 255


def test_pictures_of_another_name_are_warned_of_and_stay_in_the_note(
    command: Command, engine: Path, tmp_path: Path
) -> None:
    write_labelled(tmp_path / "cap")
    done = command("threshold", "--rule", "f1", "--data", "cap")
    assert done.code == 0
    assert "warning: tiny was trained on tiny; it is judged on cap" in done.err
    note = EngineManifest.read(engine).threshold.note
    assert note == f"{F1} It was read from pictures of cap; the model was trained on tiny."
    assert command("threshold", "--rule", "f1").code == 0
    assert EngineManifest.read(engine).threshold.note == F1


@pytest.mark.parametrize(
    ("rule", "removed", "needed"),
    [
        ("f1", "test", "good and anomalous test pictures"),
        ("f1", "test/scratch", "good and anomalous test pictures"),
        ("rate", "test", "good test pictures"),
        ("rate", "test/good", "good test pictures"),
    ],
)
def test_labelled_pictures_that_are_missing_are_told_before_the_engine_is_loaded(
    command: Command,
    engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    removed: str,
    needed: str,
) -> None:
    shutil.rmtree(tmp_path / "pictures/tiny" / removed)
    before = EngineManifest.read(engine).threshold
    monkeypatch.setattr("aand_edge.engines.load.load_engine", lambda path: pytest.fail("it was loaded"))
    done = command("threshold", "--rule", rule)
    assert done.code == 2
    assert f"--rule {rule} needs {needed}. Point --data" in done.err
    assert EngineManifest.read(engine).threshold == before


def test_eval_ends_as_threshold_does_without_test_pictures(command: Command, engine: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    shutil.rmtree(tmp_path / "pictures/tiny/test")
    evaluated = command("eval")
    assert evaluated.code == command("threshold", "--rule", "f1").code == UsageError.exit_code
    assert "has no test pictures" in evaluated.err


def test_a_threshold_below_every_score_is_refused(command: Command, engine: Path) -> None:
    before = EngineManifest.read(engine).threshold
    done = command("threshold", "--set", "-0.5")
    assert done.code == 2
    assert "no score is below 0" in done.err
    assert EngineManifest.read(engine).threshold == before
    assert command("threshold", "--set", "0").code == 0
