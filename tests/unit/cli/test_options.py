"""An option that would have no effect is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aand_edge.artifacts import EngineManifest
from aand_edge.engines.build import build_engine
from tests.commands import Command
from tests.graphs import tiny_request


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "--data", "x"], "--data needs --max-drop"),
        (["build", "--max-flips", "0.1"], "--max-flips needs --max-drop"),
        (["build", "--precision", "fp16", "--quantise", "teacher2"], "--quantise needs --precision int8"),
        (["build", "--precision", "int8", "--quantise", "teacher9"], "There is no region 'teacher9' to quantise"),
        (["build", "--locked"], "--locked needs --precision int8"),
        (["build", "g.fp32.onnx", "--frame", "64x64"], "g.fp32.onnx has a frame, a batch and a quantisation"),
        (["build", "g.fp32.onnx", "--batch", "2"], "Leave --frame, --batch and --quantise out"),
        (["export", "--weight-bits", "7"], "--weight-bits needs --precision int8"),
        (["calibrate", "--method", "mse", "--percentile", "99"], "--percentile needs --method percentile"),
        (["train", "--no-amplify", "--epochs-amplify", "3", "--data", "."], "--epochs-amplify needs --amplify"),
        (["init", "--seed", "3"], "--seed needs --sample"),
        (["doctor", "--category", "nut"], "--category needs --data, or root under [data]"),
        (["threshold", "--data", "x"], "are for --rule f1 and rate"),
        (["threshold", "--set", "0.5", "--rule", "f1"], "--set takes the value as it is"),
        (["threshold", "--rule", "f1", "--false-rejects", "0.1"], "--false-rejects has no effect on --rule f1"),
    ],
)
def test_an_option_without_effect_is_refused(command: Command, arguments: list[str], said: str) -> None:
    if arguments[0] in ("train", "export"):
        pytest.importorskip("torch")
    done = command(*arguments)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "--precision", "int8", "--max-drop", "inf"], "--max-drop inf is no number of points"),
        (["build", "--false-rejects", "2"], "--false-rejects 2.0 is not in (0, 1)"),
        (["threshold", "--false-rejects", "nan"], "--false-rejects nan is not in (0, 1)"),
        (["threshold", "--rule", "rate", "--false-rejects", "1"], "--false-rejects 1.0 is not in [0, 1)"),
        (["bench", "--budget-ms", "inf"], "--budget-ms inf: Input should be a finite number"),
        (["bench", "--budget-ms", "0"], "--budget-ms 0.0: Input should be greater than 0"),
        (["calibrate", "--percentile", "nan"], "--percentile nan: Input should be a finite number"),
        (["run", "csi://0", "--exposure", "nan"], "--exposure nan: Input should be a finite number"),
    ],
)
def test_a_number_that_cannot_be_is_refused_before_anything_is_looked_for(
    command: Command, arguments: list[str], said: str
) -> None:
    done = command(*arguments)
    assert done.code == 2
    assert said in done.err


def test_a_threshold_is_read_anew_from_the_pictures_it_was_read_from_at_the_build(
    command: Command, tmp_path: Path
) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    manifest.model_copy(update={"calibrated_on": 5}).write(path)
    assert command("threshold", "--false-rejects", "0.2").code == 0
    assert EngineManifest.read(path).threshold.calibrated_on == 7


def test_one_threshold_is_not_set_for_several_engines(command: Command, tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    build_engine(tiny_request(tmp_path, "openvino"))
    done = command("threshold", "--set", "0.5")
    assert done.code == 2
    assert "--set is for one engine" in done.err
    assert command("threshold", manifest.name, "--set", "0.5").code == 0
    assert EngineManifest.read(path).threshold.value == 0.5


def test_an_engine_that_cannot_be_accepted_here_does_not_keep_the_others_waiting(
    command: Command, tmp_path: Path
) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    facts = manifest.model_dump(mode="json", exclude={"acceptance", "threshold"})
    waiting = {**facts, "name": "foreign", "device": {"device": "another"}, "holdout": "tiny.holdout.npz"}
    path.with_name("foreign.pending").write_text(json.dumps(waiting))
    path.with_name(".foreign-half.pending").touch()  # as a build that is under way, or was killed, leaves it
    everything = command("threshold", "--false-rejects", "0.2")
    assert everything.code == 0, everything.err
    assert everything.err.count("not accepted: ") == 1
    assert "not accepted: foreign: " in everything.err
    named = command("threshold", "foreign.pending")
    assert named.code == 4
    assert "another" in named.err
