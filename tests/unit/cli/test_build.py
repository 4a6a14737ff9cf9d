"""`build`: what it says of the engine that it replaces, and of a graph that this machine cannot write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aand_edge.artifacts import EngineManifest, Threshold
from tests.commands import Command
from tests.graphs import write_tiny_model
from tests.models import write_card

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


@pytest.mark.parametrize(
    ("options", "command_there"),
    [
        ("--precision fp32", "aand-edge export part --precision fp32"),
        (
            "--precision fp16 --frame 128x96 --batch 2",
            "aand-edge export part --precision fp16 --frame 128x96 --batch 2",
        ),
        (
            "--precision int8 --quantise teacher2,bottleneck --frame 128x96",
            "aand-edge export part --precision int8 --frame 128x96 --quantise teacher2,bottleneck --weight-bits 7",
        ),
    ],
)
def test_a_graph_that_is_missing_on_a_device_is_told_with_the_whole_command(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, command_there: str
) -> None:
    for module in ("aand_edge.export.export", "aand_edge.export.int8", "aand_edge.export.regions"):
        monkeypatch.setitem(sys.modules, module, None)  # a device has no torch and no onnx
    monkeypatch.setattr("aand_edge.engines.openvino.int8_weight_bits", lambda: 7)
    write_card(tmp_path / "models/renamed", "part", tmp_path / "pictures")
    done = command("build", "--backend", "openvino", *options.split())
    assert done.code == 3
    assert f"Run `{command_there}` where the model was trained and copy the folder here." in done.err
