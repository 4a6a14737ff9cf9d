"""Engines are built, accepted and given a threshold of their own, or nothing is left of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aand_edge.artifacts import EngineFacts, EngineManifest, PendingEngine, Threshold
from aand_edge.engines.base import BuildOptions, BuiltEngine, Difference, Outputs
from aand_edge.engines.build import (
    LOCK,
    accept,
    accept_engine,
    accept_runner,
    build_engine,
    one_build_at_a_time,
    score_frames,
)
from aand_edge.engines.load import list_engines, load_engine
from aand_edge.engines.onnxruntime import OnnxRuntime
from aand_edge.engines.registry import FACTORIES
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError, UsageError
from aand_edge.evaluation.threshold import conformal_threshold
from aand_edge.holdout import HoldoutSet, calibration_rows
from tests.graphs import tiny_frames, tiny_request, tiny_scores


def test_a_batch_that_the_pictures_do_not_fill_is_filled_up(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path, batch=5))
    assert manifest.batch == 5
    assert manifest.acceptance.brightness == pytest.approx([each[::4, ::4].mean() for each in tiny_frames(12)])
    assert manifest.acceptance.scores == pytest.approx(tiny_scores(tiny_frames(12)).tolist(), abs=1e-6)
    with load_engine(path)[1] as runner:
        assert score_frames(runner, tiny_frames(3), 5).shape == (3,)


def test_a_graph_of_another_precision_is_refused(tmp_path: Path) -> None:
    asked = replace(tiny_request(tmp_path), options=BuildOptions("fp16"))
    with pytest.raises(UsageError, match=r"is an fp32 graph, fp16 was asked for.*`aand-edge export tiny --precision"):
        build_engine(asked)
    assert not asked.folder.exists()


def test_a_rate_that_is_none_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    asked = replace(tiny_request(tmp_path), false_rejects=2.0)
    with pytest.raises(UsageError, match=r"--false-rejects 2\.0 is not in"):
        build_engine(asked)
    assert not asked.folder.exists()


def test_an_engine_that_is_far_off_is_not_kept(tmp_path: Path) -> None:
    asked = tiny_request(tmp_path)
    stored = HoldoutSet.read(asked.holdout)
    replace(stored, scores=stored.scores[::-1].copy()).write(asked.holdout)
    with pytest.raises(AandEdgeError, match=r"are off by .* beyond a shift"):
        build_engine(asked)
    assert [path.name for path in asked.folder.iterdir()] == [LOCK]


def test_a_build_that_fails_leaves_the_engine_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    before = sorted(each.name for each in path.parent.iterdir())

    def full(self: EngineManifest, path: Path) -> None:
        raise OSError("disk full")

    other = replace(tiny_request(tmp_path), options=BuildOptions("fp32", threads=1))
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


def test_a_map_that_is_not_finite_is_refused() -> None:
    class Broken:
        def infer(self, frames: Any) -> Outputs:
            return Outputs(np.full((1, 4, 4), np.nan, np.float32), np.zeros(1, np.float32))

    with pytest.raises(AandEdgeError, match="maps that are not finite"):
        score_frames(Broken(), tiny_frames(1), 1)  # type: ignore[arg-type]


def test_scores_that_are_not_finite_are_refused() -> None:
    scores = np.array([0.1, np.nan], np.float32)
    with pytest.raises(AandEdgeError, match="not finite"):
        accept(scores, np.array([0.1, 0.2], np.float32), 0)


def test_each_precision_has_a_threshold_of_its_own() -> None:
    reference = np.linspace(0.1, 0.2, 40, dtype=np.float32)
    shifted = reference + np.float32(0.02)  # quantising moves the whole map while the ranking stays
    own = conformal_threshold(shifted, 0.1)
    foreign = conformal_threshold(reference, 0.1)
    assert (own.rejects(shifted) == foreign.rejects(reference)).all()
    assert foreign.rejects(shifted).sum() > own.rejects(shifted).sum()


def test_the_threshold_is_read_from_pictures_that_gave_no_ranges(tmp_path: Path) -> None:
    request = tiny_request(tmp_path)
    path, manifest = build_engine(request)
    facts = manifest.model_dump(exclude={"acceptance", "threshold", "calibrated_on"})
    holdout = HoldoutSet.read(request.holdout)
    with load_engine(path)[1] as runner:
        accepted = accept_runner(EngineFacts(**facts, calibrated_on=5), runner, holdout, 0.2)
    others = np.delete(np.array(accepted.acceptance.scores), calibration_rows(12, 5))
    assert accepted.threshold == conformal_threshold(others, 0.2)
    assert (accepted.threshold.calibrated_on, accepted.acceptance.pictures, accepted.acceptance.flips) == (7, 12, 0)


def test_reuse_keeps_a_threshold_that_was_set_and_asks_for_the_same_kind_of_build(tmp_path: Path) -> None:
    request = tiny_request(tmp_path, reuse=True)
    path, first = build_engine(request)
    by_hand = first.model_copy(update={"threshold": Threshold(value=0.3, rule="manual")})
    by_hand.write(path)
    assert build_engine(request) == (path, by_hand)
    assert build_engine(replace(request, budget={"max_drop": 1}))[1].budget == {"max_drop": 1}


def test_reuse_keeps_an_engine_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tiny_request(tmp_path, reuse=True)
    path, first = build_engine(asked)
    builds: list[Path] = []
    original = OnnxRuntime.build

    def counted(self: OnnxRuntime, graph: Path, options: BuildOptions) -> BuiltEngine:
        builds.append(graph)
        return original(self, graph, options)

    monkeypatch.setattr(OnnxRuntime, "build", counted)
    assert build_engine(asked) == (path, first)
    assert builds == []
    build_engine(replace(asked, false_rejects=0.2))
    (path.parent / first.engine).write_bytes(b"other")
    build_engine(asked)
    assert builds == [asked.graph, asked.graph]


def test_a_graph_that_is_torn_is_refused(tmp_path: Path) -> None:
    asked = tiny_request(tmp_path)
    asked.graph.write_bytes(asked.graph.read_bytes()[:-40])
    with pytest.raises(ArtefactMismatchError, match=r"ONNX|fused AAND graph"):
        build_engine(asked)


def test_manifests_round_trip(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    assert EngineManifest.read(path) == manifest


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_two_builds_answer_alike(tmp_path: Path, backend: str) -> None:
    """Acceptance holds every build to the model's scores; the CPU engines repeat theirs to rounding."""
    scores = []
    for name in ("first", "second"):
        path, _ = build_engine(tiny_request(tmp_path / name, backend, "fp16"))
        scores.append(np.array(EngineManifest.read(path).acceptance.scores))
    assert np.abs(scores[0] - scores[1]).max() < 1e-6


def test_an_option_that_changed_is_not_reused(tmp_path: Path) -> None:
    request = tiny_request(tmp_path, "openvino", reuse=True)
    path, first = build_engine(request)
    assert build_engine(request) == (path, first)
    other = replace(request, options=replace(request.options, threads=1))
    assert build_engine(other)[1].options["threads"] == 1
    assert build_engine(replace(other, false_rejects=0.2))[1] != first


# An engine for another machine


class Elsewhere(OnnxRuntime):
    """A backend that builds here and runs on another machine."""

    name = "elsewhere"
    runs = False

    def runnable(self) -> str | None:
        return None if Elsewhere.runs else "no GPU here"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Elsewhere, "runs", False)
    monkeypatch.setitem(FACTORIES, "elsewhere", Elsewhere)


@pytest.mark.usefixtures("elsewhere")
def test_an_engine_for_another_machine_waits_to_be_accepted_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = tiny_request(tmp_path, "elsewhere")
    path, waiting = build_engine(request)
    assert path.name == "tiny.elsewhere.fp32.pending"
    assert isinstance(waiting, PendingEngine)
    assert list_engines(request.folder) == []
    monkeypatch.setattr(Elsewhere, "runs", True)
    accepted, manifest = accept_engine(path, tmp_path / "models" / waiting.holdout, 0.1)
    assert list_engines(request.folder) == [accepted]
    assert manifest.acceptance.pictures == 12
    assert not path.exists()
    assert EngineManifest.read(accepted) == manifest


@pytest.mark.usefixtures("elsewhere")
def test_reuse_keeps_an_engine_that_waits_until_something_changes_or_it_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = tiny_request(tmp_path, "elsewhere", reuse=True)
    path, waiting = build_engine(request)
    builds: list[Path] = []
    original = Elsewhere.build

    def counted(self: Elsewhere, graph: Path, options: BuildOptions) -> BuiltEngine:
        builds.append(graph)
        return original(self, graph, options)

    monkeypatch.setattr(Elsewhere, "build", counted)
    assert build_engine(request) == (path, waiting)
    assert builds == []
    (request.folder / waiting.engine).write_bytes(b"other")
    build_engine(request)
    build_engine(replace(request, options=replace(request.options, threads=1)))
    assert len(builds) == 2
    monkeypatch.setattr(Elsewhere, "runs", True)
    assert isinstance(build_engine(request)[1], EngineManifest)
    assert not path.exists()


@pytest.mark.usefixtures("elsewhere")
def test_reuse_needs_no_device_where_the_build_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: Elsewhere, built: dict[str, str]) -> list[Difference]:
        raise MissingDependencyError("There is no GPU here", "See `aand-edge doctor`.")

    request = tiny_request(tmp_path, "elsewhere", reuse=True)
    monkeypatch.setattr(Elsewhere, "runs", True)
    build_engine(request)
    monkeypatch.setattr(Elsewhere, "runs", False)
    monkeypatch.setattr(Elsewhere, "differences", absent)
    assert isinstance(build_engine(request)[1], PendingEngine)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("changed", "said"),
    [({"options": {}}, "The options in the manifest of .* are wrong"), ({"backend": "teapot"}, "needs the backend")],
)
def test_what_waits_and_is_spoilt_is_a_mismatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], said: str
) -> None:
    request = tiny_request(tmp_path, "elsewhere")
    path, waiting = build_engine(request)
    assert isinstance(waiting, PendingEngine)
    monkeypatch.setattr(Elsewhere, "runs", True)
    waiting.model_copy(update=changed).write(path)
    with pytest.raises(ArtefactMismatchError, match=said):
        accept_engine(path, request.holdout, 0.1)


@pytest.mark.usefixtures("elsewhere")
def test_a_changed_engine_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = tiny_request(tmp_path, "elsewhere")
    path, waiting = build_engine(request)
    monkeypatch.setattr(Elsewhere, "runs", True)
    (request.folder / waiting.engine).write_bytes(b"something else")
    with pytest.raises(ArtefactMismatchError, match="its manifest says"):
        accept_engine(path, request.holdout, 0.1)
    assert path.exists()
