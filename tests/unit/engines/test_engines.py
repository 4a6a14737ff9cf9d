"""Engines are built, accepted and loaded; whatever is wrong with one is told before it is deserialised."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aand_edge.artifacts import EngineManifest, HoldoutSet, Threshold
from aand_edge.engines import build as build_module
from aand_edge.engines import onnxruntime as onnxruntime_module
from aand_edge.engines.base import BuildOptions, Outputs
from aand_edge.engines.build import LOCK, BuildRequest, accept, build_engine, one_build_at_a_time, score_frames
from aand_edge.engines.load import list_engines, load_engine, rebuild_hint
from aand_edge.engines.openvino import OpenVino, executed_precisions, precision_note
from aand_edge.engines.registry import FACTORIES, availability, find_backend
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError, UsageError
from tests.graphs import tiny_frames, tiny_scores, write_tiny_graph, write_tiny_model

BACKENDS = list(FACTORIES)


def request_for(tmp_path: Path, backend: str = "onnxruntime", precision: Any = "fp32", **more: Any) -> BuildRequest:
    graph, holdout = write_tiny_model(tmp_path / "models", precision, more.pop("batch", 1))
    return BuildRequest(graph, holdout, tmp_path / "engines", BuildOptions(precision), backend, 0.1, **more)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_engine_answers_as_the_graph(tmp_path: Path, backend: str, precision: str) -> None:
    path, manifest = build_engine(request_for(tmp_path, backend, precision))
    loaded, runner = load_engine(path)
    frames = tiny_frames(1, seed=5)
    with runner:
        outputs = runner.infer(frames)
    assert loaded == manifest
    assert outputs.anomaly_map.shape == (1, 32, 32)
    assert outputs.anomaly_map.dtype == outputs.score.dtype == np.float32
    assert outputs.score == pytest.approx(tiny_scores(frames), abs=2e-3 if precision == "fp16" else 1e-6)
    assert manifest.acceptance.pictures == 12
    assert manifest.threshold.calibrated_on == 12


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_are_copies_that_the_next_frame_does_not_overwrite(tmp_path: Path, backend: str) -> None:
    path, _ = build_engine(request_for(tmp_path, backend))
    dark, bright = np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 32, 32, 3), 255, np.uint8)
    with load_engine(path)[1] as runner:
        first = runner.infer(dark)
        runner.infer(bright)
    assert first.score[0] == 0
    assert first.anomaly_map.max() == 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 31, 32, 3), np.uint8), np.zeros((2, 32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.float32)],
)
def test_other_frames_are_refused_with_both_shapes(tmp_path: Path, backend: str, frames: Any) -> None:
    path, _ = build_engine(request_for(tmp_path, backend))
    with load_engine(path)[1] as runner, pytest.raises(UsageError, match="1 x 32 x 32 x 3, these are"):
        runner.infer(frames)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_engine_says_so(tmp_path: Path, backend: str) -> None:
    path, _ = build_engine(request_for(tmp_path, backend))
    _, runner = load_engine(path)
    runner.close()
    with pytest.raises(AandEdgeError, match="closed"):
        runner.infer(tiny_frames(1))


def test_a_batch_that_the_pictures_do_not_fill_is_filled_up(tmp_path: Path) -> None:
    path, manifest = build_engine(request_for(tmp_path, batch=5))
    assert manifest.batch == 5
    assert manifest.acceptance.scores == pytest.approx(tiny_scores(tiny_frames(12)).tolist(), abs=1e-6)
    with load_engine(path)[1] as runner:
        assert score_frames(runner, tiny_frames(3), 5).shape == (3,)


def test_openvino_says_what_runs_and_where_half_precision_does_not(tmp_path: Path) -> None:
    _, full = build_engine(request_for(tmp_path, "openvino"))
    _, half = build_engine(request_for(tmp_path, "openvino", "fp16"))
    assert full.precision_note == ""
    assert set(full.executed) <= {"f32", "u8", "i32", "i64", "undefined", "unspecified"}
    in_half = any(kind in half.executed for kind in ("f16", "bf16"))
    assert in_half != ("run in float32" in half.precision_note)


def test_what_runs_is_read_from_the_compiled_network(tmp_path: Path) -> None:
    import openvino

    write_tiny_graph(tmp_path / "g.onnx")
    compiled = openvino.Core().compile_model(str(tmp_path / "g.onnx"), "CPU")
    assert executed_precisions(compiled).get("f32", 0) >= 1


def test_onnx_runtime_says_what_runs(tmp_path: Path) -> None:
    _, full = build_engine(request_for(tmp_path, "onnxruntime"))
    assert set(full.executed) == {"f32"}
    assert full.precision_note == ""
    _, half = build_engine(request_for(tmp_path, "onnxruntime", "fp16"))
    assert ("f16" in half.executed) != ("runs the half-precision graph in float32" in half.precision_note)


def test_onnx_runtime_leaves_the_processor_alone_between_frames(tmp_path: Path) -> None:
    write_tiny_graph(tmp_path / "g.onnx")
    session = onnxruntime_module._session(tmp_path / "g.onnx", 2)
    assert session.get_session_options().get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize(
    ("precision", "executed", "note"),
    [
        ("fp32", {"f32": 9}, ""),
        ("fp16", {"f16": 7, "f32": 2}, ""),
        ("fp16", {"bf16": 7, "f32": 2}, "in bfloat16: 7 of 9 layers"),
        ("fp16", {"f32": 9}, "run in float32"),
    ],
)
def test_a_note_says_where_half_precision_is_not_what_runs(precision: str, executed: dict[str, int], note: str) -> None:
    assert note in precision_note(precision, executed)
    assert bool(note) == bool(precision_note(precision, executed))


def test_a_graph_of_another_precision_is_refused(tmp_path: Path) -> None:
    asked = replace(request_for(tmp_path), options=BuildOptions("fp16"))
    with pytest.raises(UsageError, match="is an fp32 graph, fp16 was asked for"):
        build_engine(asked)
    assert not asked.folder.exists()


def test_an_engine_that_is_far_off_is_not_kept(tmp_path: Path) -> None:
    asked = request_for(tmp_path)
    stored = HoldoutSet.read(asked.holdout)
    HoldoutSet(stored.frames, stored.scores[::-1].copy(), stored.names).write(asked.holdout)
    with pytest.raises(AandEdgeError, match=r"are off by .* beyond a shift"):
        build_engine(asked)
    assert [path.name for path in asked.folder.iterdir()] == [LOCK]


def test_a_build_that_fails_leaves_the_engine_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, manifest = build_engine(request_for(tmp_path))
    before = sorted(each.name for each in path.parent.iterdir())

    def full(self: EngineManifest, path: Path) -> None:
        raise OSError("disk full")

    other = replace(request_for(tmp_path), options=BuildOptions("fp32", threads=1))
    with monkeypatch.context() as patch:
        patch.setattr(EngineManifest, "write", full)
        with pytest.raises(OSError, match="disk full"):
            build_engine(other)
    assert sorted(each.name for each in path.parent.iterdir()) == before
    assert load_engine(path)[0] == manifest


def test_a_second_build_into_a_folder_waits_for_the_first(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with one_build_at_a_time(tmp_path):
            entered.set()

    with one_build_at_a_time(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    waiting.join()


def test_what_a_build_is_just_writing_is_no_engine_yet(tmp_path: Path) -> None:
    (tmp_path / ".tiny.openvino.fp32-x1.json").write_text("{")
    (tmp_path / "tiny.openvino.fp32.json").write_text("{}")
    assert list_engines(tmp_path) == [tmp_path / "tiny.openvino.fp32.json"]


def test_a_map_that_is_not_finite_is_refused() -> None:
    class Broken:
        def infer(self, frames: Any) -> Outputs:
            return Outputs(np.full((1, 4, 4), np.nan, np.float32), np.zeros(1, np.float32))

    with pytest.raises(AandEdgeError, match="maps that are not finite"):
        score_frames(Broken(), tiny_frames(1), 1)  # type: ignore[arg-type]


def test_scores_that_are_not_finite_are_refused() -> None:
    scores = np.array([0.1, np.nan], np.float32)
    with pytest.raises(AandEdgeError, match="not finite"):
        accept(scores, np.array([0.1, 0.2], np.float32), Threshold(value=1, rule="manual"), 0.1)


def test_each_precision_has_a_threshold_of_its_own() -> None:
    reference = np.linspace(0.1, 0.2, 40, dtype=np.float32)
    shifted = reference + np.float32(0.02)  # quantising moves the whole map while the ranking stays
    own = build_module.conformal_threshold(shifted, 0.1)
    foreign = build_module.conformal_threshold(reference, 0.1)
    assert accept(shifted, reference, own, 0.1).flips == 0
    assert foreign.rejects(shifted).sum() > own.rejects(shifted).sum()


@pytest.mark.parametrize("end", ["flip", "truncate", "empty"])
def test_a_damaged_engine_is_found_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    path, manifest = build_engine(request_for(tmp_path, "openvino"))
    engine = path.parent / manifest.engine
    data = bytearray(engine.read_bytes())
    if end == "flip":
        data[len(data) // 2] ^= 1
    engine.write_bytes(b"" if end == "empty" else bytes(data[:-10] if end == "truncate" else data))
    monkeypatch.setattr(OpenVino, "load", lambda *_: pytest.fail("a damaged engine reached the backend"))
    with pytest.raises(ArtefactMismatchError, match="its manifest says") as caught:
        load_engine(path)
    assert "aand-edge build tiny --precision fp32 --backend openvino" in str(caught.value)
    assert caught.value.exit_code == 4


def change(path: Path, **values: Any) -> None:
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, **values}))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"device": {"device": "NVIDIA Orin", "formats": "FP16"}}, "built for device 'NVIDIA Orin', this machine has"),
        ({"backend_version": "2020.1"}, "was built with openvino 2020.1, here is 20"),
        ({"device": {}}, "built for device 'None', this machine has"),
        ({"backend": "teapot"}, "needs the backend 'teapot'"),
        ({"options": {}}, r"options in the manifest of .* are wrong \('precision'\)"),
        ({"options": {"precision": "fp32", "threads": "many"}}, "options in the manifest of .* are wrong"),
        ({"engine": "gone.blob"}, "is missing"),
        ({"batch": "many"}, "is no EngineManifest: batch"),
        ({"colours": "BGR"}, "is no EngineManifest: colours"),
    ],
)
def test_a_manifest_that_does_not_fit_names_both_sides(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    path, _ = build_engine(request_for(tmp_path, "openvino"))
    change(path, **values)
    with pytest.raises(ArtefactMismatchError, match=sentence):
        load_engine(path)


def test_the_way_to_rebuild_names_everything_that_was_asked_for(tmp_path: Path) -> None:
    _, manifest = build_engine(request_for(tmp_path))
    other = {"frame": (720, 1280), "roi": (280, 0, 720, 720), "options": {"threads": 2, "precision": "fp32"}}
    assert "--backend onnxruntime`" in rebuild_hint(manifest)
    assert "--frame 1280x720 --roi 280,0,720,720 --threads 2`" in rebuild_hint(manifest.model_copy(update=other))


def test_an_engine_without_its_manifest_is_refused(tmp_path: Path) -> None:
    path, manifest = build_engine(request_for(tmp_path))
    path.unlink()
    with pytest.raises(ArtefactMismatchError, match="is missing"):
        load_engine(path.parent / manifest.engine)


def test_an_engine_is_found_by_its_file_too(tmp_path: Path) -> None:
    path, manifest = build_engine(request_for(tmp_path))
    loaded, runner = load_engine(path.parent / manifest.engine)
    runner.close()
    assert loaded == manifest
    assert list_engines(path.parent) == [path]


def test_reuse_keeps_an_engine_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request_for(tmp_path, reuse=True)
    path, first = build_engine(asked)
    builds: list[str] = []
    backend = type(find_backend("onnxruntime"))
    original = backend.build
    monkeypatch.setattr(backend, "build", lambda self, *given: (builds.append("built"), original(self, *given))[1])
    assert build_engine(asked) == (path, first)
    assert builds == []
    build_engine(replace(asked, false_rejects=0.2))
    (path.parent / first.engine).write_bytes(b"other")
    build_engine(asked)
    assert builds == ["built", "built"]


def test_a_missing_backend_is_told_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BACKENDS:
        monkeypatch.setattr(type(FACTORIES[name]()), "available", lambda self: "it is not installed")
    with pytest.raises(MissingDependencyError, match="openvino does not work here: it is not installed"):
        find_backend("openvino")
    with pytest.raises(MissingDependencyError, match="No engine backend works here"):
        find_backend()
    assert set(availability().values()) == {"it is not installed"}


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="auto, openvino, onnxruntime"):
        find_backend("tensorflow")


def test_a_graph_that_is_torn_is_refused(tmp_path: Path) -> None:
    asked = request_for(tmp_path)
    asked.graph.write_bytes(asked.graph.read_bytes()[:-40])
    with pytest.raises(ArtefactMismatchError, match=r"ONNX|fused AAND graph"):
        build_engine(asked)


def test_manifests_round_trip(tmp_path: Path) -> None:
    path, manifest = build_engine(request_for(tmp_path))
    assert EngineManifest.read(path) == manifest
