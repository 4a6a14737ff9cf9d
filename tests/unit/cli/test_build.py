"""`build` of a graph that is named: what it says of the engine that it replaces."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aand_edge.artifacts import EngineManifest, Threshold
from tests.commands import Command
from tests.graphs import write_tiny_model

ENGINE = "tiny.onnxruntime.fp32"
BUILD = ("build", "models/tiny.fp32.onnx", "--backend", "onnxruntime")


@pytest.mark.parametrize(
    ("threshold", "again"),
    [
        (Threshold(value=0.61, rule="manual"), "--set 0.61"),
        (Threshold(value=0.61, rule="f1"), "--rule f1"),
        (Threshold(value=0.61, rule="rate", asked_false_rejects=0.02), "--rule rate --false-rejects 0.02"),
    ],
)
def test_a_threshold_that_was_chosen_is_not_lost_without_a_word(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: Threshold, again: str
) -> None:
    monkeypatch.setitem(sys.modules, "aand_edge.export.validate", None)  # a device has no onnx
    write_tiny_model(tmp_path / "models")
    first = command(*BUILD)
    assert first.code == 0
    assert "is gone" not in first.err
    path = tmp_path / f"engines/{ENGINE}.json"
    manifest = EngineManifest.read(path)
    manifest.threshold = threshold
    manifest.write(path)
    kept = command(*BUILD, "--reuse")
    assert EngineManifest.read(path).threshold == threshold
    assert "is gone" not in kept.err
    assert "0.6100" in kept.out
    assert "promises nothing" in kept.out
    assert "rejects at most" not in kept.out
    replaced = command(*BUILD)
    assert f"the threshold 0.6100 ({threshold.rule}) of the engine that this one replaces is gone" in replaced.err
    assert f"`aand-edge threshold {ENGINE} {again}` sets it again" in replaced.err
    assert "is gone" not in command(*BUILD).err  # of a threshold that comes back by itself nothing is said
