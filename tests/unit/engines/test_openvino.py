"""OpenVINO says what really runs, and in plain words what it cannot load."""

from __future__ import annotations

from pathlib import Path

import pytest

from aand_edge.engines.base import BuildOptions
from aand_edge.engines.build import build_engine
from aand_edge.engines.openvino import OpenVino, reason
from aand_edge.engines.openvino_layers import executed_precisions, precision_note
from aand_edge.errors import AandEdgeError, ArtefactMismatchError
from tests.graphs import tiny_request, write_tiny_graph


def test_openvino_says_what_runs_and_where_half_precision_does_not(tmp_path: Path) -> None:
    _, full = build_engine(tiny_request(tmp_path, "openvino"))
    _, half = build_engine(tiny_request(tmp_path, "openvino", "fp16"))
    assert full.precision_note == ""
    assert set(full.executed) <= {"f32", "u8", "i32", "i64", "undefined", "unspecified"}
    in_half = any(kind in half.executed for kind in ("f16", "bf16"))
    assert in_half != ("run in float32" in half.precision_note)


def test_what_runs_is_read_from_the_compiled_network(tmp_path: Path) -> None:
    import openvino

    write_tiny_graph(tmp_path / "g.onnx")
    compiled = openvino.Core().compile_model(str(tmp_path / "g.onnx"), "CPU")
    assert executed_precisions(compiled).get("f32", 0) >= 1


@pytest.mark.parametrize(
    ("precision", "executed", "note"),
    [
        ("fp32", {"f32": 9}, ""),
        ("fp16", {"f16": 7, "f32": 2}, ""),
        ("fp16", {"bf16": 7, "f32": 2}, "in bfloat16: 7 of 9 layers"),
        ("fp16", {"f32": 9}, "run in float32"),
        ("int8", {"u8": 7, "f32": 2}, ""),
        ("int8", {"u8": 5, "bf16": 2, "f32": 2}, "in bfloat16: 2 of 9 layers"),
    ],
)
def test_a_note_says_where_half_precision_is_not_what_runs(precision: str, executed: dict[str, int], note: str) -> None:
    assert note in precision_note(precision, executed)
    assert bool(note) == bool(precision_note(precision, executed))


def test_a_refusal_names_both_sides_and_no_place_in_the_source() -> None:
    told = reason(
        RuntimeError(
            "Exception from src/core.cpp:217:\nCheck 'is_compatible(it)' failed at src/plugin.cpp:811:\n"
            "[CPU] Cannot import: another configuration.\n  blob:    isa=SSE4\n  current: isa=AVX2\n\n"
        )
    )
    assert told == "[CPU] Cannot import: another configuration; blob: isa=SSE4; current: isa=AVX2"
    assert reason(RuntimeError()) == "RuntimeError"


def test_a_file_that_openvino_cannot_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.blob").write_bytes(b"no engine")
    with pytest.raises(ArtefactMismatchError, match=r"cannot load .*a\.blob: "):
        OpenVino().load(tmp_path / "a.blob", {"threads": 0, "precision": "fp32"})
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(AandEdgeError, match=r"OpenVINO refused .*a\.onnx"):
        OpenVino().build(tmp_path / "a.onnx", BuildOptions())


def test_threads_asked_for_are_the_threads_that_run(tmp_path: Path) -> None:
    write_tiny_graph(tmp_path / "g.onnx")
    built = OpenVino().build(tmp_path / "g.onnx", BuildOptions(threads=1))
    (tmp_path / "g.blob").write_bytes(built.plan)
    with OpenVino().load(tmp_path / "g.blob", built.options) as runner:
        assert runner._request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == 1
