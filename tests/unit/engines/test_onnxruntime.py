"""ONNX Runtime says what really runs, and keeps to its turn."""

from __future__ import annotations

from pathlib import Path

from aand_edge.engines import onnxruntime as onnxruntime_module
from aand_edge.engines.build import build_engine
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
