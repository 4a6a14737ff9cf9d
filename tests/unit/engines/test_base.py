"""Every backend keeps the protocol: the same answers, the same refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aand_edge.artifacts import Precision
from aand_edge.engines.base import Backend, Runner
from aand_edge.engines.build import build_engine
from aand_edge.engines.cuda import Cuda
from aand_edge.engines.load import load_engine
from aand_edge.engines.registry import FACTORIES
from aand_edge.errors import AandEdgeError, UsageError
from tests.graphs import tiny_frames, tiny_request, tiny_scores

# A server is not built here; its tests answer for it themselves.
BACKENDS = [name for name, factory in FACTORIES.items() if name != "triton" and factory().runnable() is None]


@pytest.mark.parametrize("protocol", [Backend, Runner, Cuda])
def test_each_method_of_a_protocol_says_what_whoever_implements_it_must_do(protocol: type) -> None:
    public = {name: each for name, each in vars(protocol).items() if callable(each) and not name.startswith("_")}
    assert public
    assert [name for name, method in public.items() if not method.__doc__] == []


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_engine_answers_as_the_graph(tmp_path: Path, backend: str, precision: Precision) -> None:
    path, manifest = build_engine(tiny_request(tmp_path, backend, precision))
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
    path, _ = build_engine(tiny_request(tmp_path, backend))
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
    path, _ = build_engine(tiny_request(tmp_path, backend))
    with load_engine(path)[1] as runner, pytest.raises(UsageError, match="1 x 32 x 32 x 3, these are"):
        runner.infer(frames)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_engine_says_so(tmp_path: Path, backend: str) -> None:
    path, _ = build_engine(tiny_request(tmp_path, backend))
    _, runner = load_engine(path)
    runner.close()
    with pytest.raises(AandEdgeError, match="closed"):
        runner.infer(tiny_frames(1))
