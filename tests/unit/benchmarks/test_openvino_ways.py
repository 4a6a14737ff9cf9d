"""Other ways to ask OpenVINO compute the same, and each is timed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aand_edge.bench.device import describe_device
from aand_edge.export.graph import write_graph
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.fused import FusedAand
from benchmarks import openvino_ways
from benchmarks.untrained import network, noise


@pytest.mark.parametrize("half", [False, True])
def test_a_convolution_that_gate_and_generator_share_leaves_the_map_as_it_is(half: bool) -> None:
    model, frames = network("resnet18", 64), torch.from_numpy(noise(2, 64))
    with torch.inference_mode():
        expected, _ = FusedAand(model, half=half)(frames)
        answered, _ = openvino_ways.with_shared_convolution(model, half)(frames)
    torch.testing.assert_close(answered, expected, rtol=0, atol=2e-3 if half else 1e-5)


def test_each_way_is_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(openvino_ways, "SETTINGS", {openvino_ways.TAKEN: {}})
    model, graph = network("resnet18", 64), tmp_path / "own.onnx"
    write_graph(FusedAand(model), GraphFacts("own", "resnet18", 64, (64, 64), "BGR", "fp32", "0" * 64), graph)
    rows = openvino_ways.raced(graph, model, noise(1, 64), repeats=2)
    assert rows.keys() == {openvino_ways.TAKEN, openvino_ways.SHARED}
    assert all(row["p50"] > 0 for row in rows.values())


def test_what_is_gained_is_told_against_the_backends_own_way() -> None:
    taken, other = {"p50": 10.0}, {"p50": 8.0}
    told = {"backbone": "tiny", "size": 64, "repeats": 2, "load": 0.0, "device": describe_device()}
    rows = {"fp32": {openvino_ways.TAKEN: taken, "other": other}, "int8": {openvino_ways.TAKEN: other}}
    page = openvino_ways.markdown({**told, "rows": rows})
    assert f"| {openvino_ways.TAKEN} | 10.0 (+0.0 %) | 8.0 (+0.0 %) |" in page
    assert "| other | 8.0 (+20.0 %) |  |" in page
