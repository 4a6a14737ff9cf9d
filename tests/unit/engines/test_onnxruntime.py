"""ONNX Runtime says what really runs, and keeps to its turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from aand_edge.engines import onnxruntime as onnxruntime_module
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.build import build_engine
from aand_edge.engines.onnxruntime import OnnxRuntime
from aand_edge.errors import MissingDependencyError
from tests.graphs import tiny_request, write_tiny_graph


def test_onnx_runtime_says_what_runs(tmp_path: Path) -> None:
    _, full = build_engine(tiny_request(tmp_path, "onnxruntime"))
    assert set(full.executed) == {"f32"}
    assert full.precision_note == ""
    _, half = build_engine(tiny_request(tmp_path, "onnxruntime", "fp16"))
    assert ("f16" in half.executed) != ("runs the half-precision graph in float32" in half.precision_note)


def test_onnx_runtime_leaves_the_processor_alone_between_frames(tmp_path: Path) -> None:
    write_tiny_graph(tmp_path / "g.onnx")
    session = onnxruntime_module._session(tmp_path / "g.onnx", 2)
    assert session.get_session_options().get_session_config_entry("session.force_spinning_stop") == "1"


def test_a_release_that_truncates_half_precision_builds_no_int8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_graph(tmp_path / "tiny.onnx")
    monkeypatch.setattr(OnnxRuntime, "version", lambda self: "1.23.2")
    with pytest.raises(MissingDependencyError, match=r"1\.23\.2 rounds wrongly"):
        OnnxRuntime().build(tmp_path / "tiny.onnx", BuildOptions("int8"))
    assert OnnxRuntime().build(tmp_path / "tiny.onnx", BuildOptions("fp32")).plan
