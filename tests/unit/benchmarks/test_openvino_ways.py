"""Other ways to ask OpenVINO compute the same, and each is timed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aand_edge.bench.device import describe_device
from aand_edge.model.fused import FusedAand
from benchmarks import openvino_ways
from benchmarks.untrained import network, noise
from tests.graphs import tiny_frames, tiny_request


@pytest.mark.parametrize("half", [False, True])
def test_a_convolution_that_gate_and_generator_share_leaves_the_map_as_it_is(half: bool) -> None:
    model, frames = network("resnet18", 64), torch.from_numpy(noise(2, 64))
    with torch.inference_mode():
        expected, _ = FusedAand(model, half=half)(frames)
        answered, _ = openvino_ways.with_shared_convolution(model, half)(frames)
    torch.testing.assert_close(answered, expected, rtol=0, atol=2e-3 if half else 1e-5)


def test_each_way_is_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(openvino_ways, "SHARED_IN", ())
    graph = tiny_request(tmp_path, "openvino").graph
    rows = openvino_ways.raced(graph, network("resnet18", 64), tiny_frames(2, seed=0), repeats=2)
    assert rows.keys() == openvino_ways.SETTINGS.keys()
    told = {"backbone": "tiny", "size": 64, "repeats": 2, "load": 0.0, "device": describe_device()}
    page = openvino_ways.markdown({**told, "rows": {"fp32": rows, "int8": {openvino_ways.TAKEN: {"p50": 2.0}}}})
    assert f"| {openvino_ways.TAKEN} | {rows[openvino_ways.TAKEN]['p50']:.1f} (+0.0 %) | 2.0 (+0.0 %) |" in page
