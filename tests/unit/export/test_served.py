"""A whole network serves any batch: its maps are those of the static graph, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort
import pytest

from aand_edge.engines.triton.config import Serving
from aand_edge.export.dynamic import check_batches, write_dynamic
from aand_edge.export.export import Exported
from aand_edge.export.served import serve_graph
from aand_edge.graph_facts import check_seal
from aand_edge.holdout import HoldoutSet


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_network_for_any_batch_answers_as_the_static_one(
    export: Callable[..., Exported], tmp_path: Path, precision: str
) -> None:
    exported = export(precision=precision)
    write_dynamic(exported.graph, tmp_path / "part.onnx")
    assert check_seal(tmp_path / "part.onnx"), "of its own bytes"
    frames = HoldoutSet.read(exported.holdout).frames
    assert check_batches(exported.graph, tmp_path / "part.onnx", frames) < 1e-4
    session = ort.InferenceSession(str(tmp_path / "part.onnx"))
    assert [each.shape for each in session.get_outputs()] == [["batch", 64, 64], ["batch"]]


def test_a_frame_with_a_region_serves_any_batch_too(export: Callable[..., Exported], tmp_path: Path) -> None:
    exported = export(region=True)
    packed = serve_graph(tmp_path, exported.graph, exported.holdout, Serving(4), 0.3)
    assert packed.folder.name == "region-fp32"
    assert packed.manifest.frame == (120, 200)
    assert packed.manifest.roi == (40, 10, 120, 100)
    assert "dims: [ 120, 200, 3 ]" in (packed.folder / "config.pbtxt").read_text()
