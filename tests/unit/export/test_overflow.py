"""A layer that half precision cannot hold is named, and its region stays in float32 with what reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from aand_edge.export.graph import write_graph
from aand_edge.export.overflow import LIMIT, Overflow, find_overflows, regions_to_keep
from aand_edge.export.validate import validate
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand

SIZE = 64


@pytest.fixture
def frame() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8))


def enlarged(module: str, factor: float = 1e7) -> Aand:
    """A model in which one convolution answers with numbers that float16 does not have."""
    torch.manual_seed(0)
    model = Aand("resnet18", SIZE).eval()
    with torch.no_grad():
        model.get_submodule(module).weight.mul_(factor)  # type: ignore[operator, union-attr]
    return model


def test_an_ordinary_network_keeps_nothing(frame: torch.Tensor) -> None:
    torch.manual_seed(0)
    fused = FusedAand(Aand("resnet18", SIZE))
    assert find_overflows(fused, [frame]) == []


@pytest.mark.parametrize(
    ("module", "layer", "kept"),
    [
        ("bottleneck.reduce1.0.0", "bottleneck.reduce1.0.0", ("bottleneck", "student3")),
        ("student.up1.1.conv1", "student1.1.conv1", ("student1",)),
        ("teacher.layer2.0.conv1", "teacher2.0.conv1", ("teacher2", "teacher3")),
    ],
)
def test_the_layer_is_named_and_the_graph_stays_finite(
    tmp_path: Path, frame: torch.Tensor, module: str, layer: str, kept: tuple[str, ...]
) -> None:
    model = enlarged(module)
    whole = FusedAand(model)
    found = find_overflows(whole, [frame])
    assert found[0].layer == layer
    assert found[0].largest > LIMIT
    assert "stays in float32" in str(found[0])
    names = regions_to_keep(whole, found)
    assert set(kept) <= set(names)
    facts = GraphFacts("part", "resnet18", SIZE, (SIZE, SIZE), "BGR", "fp16", "0" * 64, float32=names)
    write_graph(FusedAand(model, half=True, float32=names), facts, tmp_path / "part.fp16.onnx")
    session = ort.InferenceSession(str(tmp_path / "part.fp16.onnx"))
    found_map = session.run(["anomaly_map"], {"image": frame.numpy()})[0]
    with torch.no_grad():
        wanted = whole(frame)[0].numpy()
    assert np.isfinite(found_map).all()
    assert np.abs(found_map - wanted).max() < 0.05
    assert GraphFacts.from_graph(tmp_path / "part.fp16.onnx").float32 == names
    types = validate(tmp_path / "part.fp16.onnx").types
    assert types[kept[0]].get("float32", 0) > types[kept[0]].get("float16", 0)
    assert "float16" in types["stem"]


def test_without_it_half_precision_would_not_be_finite(tmp_path: Path, frame: torch.Tensor) -> None:
    model = enlarged("student.up1.1.conv1")
    facts = GraphFacts("part", "resnet18", SIZE, (SIZE, SIZE), "BGR", "fp16", "0" * 64)
    write_graph(FusedAand(model, half=True), facts, tmp_path / "part.fp16.onnx")
    found = ort.InferenceSession(str(tmp_path / "part.fp16.onnx")).run(["anomaly_map"], {"image": frame.numpy()})[0]
    assert not np.isfinite(found).all()


@pytest.mark.parametrize(
    ("region", "kept"),
    [
        ("teacher2", {"teacher2", "teacher3", "gate2", "generator2", "bottleneck"}),
        ("bottleneck", {"bottleneck", "student3"}),
        ("student1", {"student1"}),
    ],
)
def test_what_reads_an_overflowing_region_stays_with_it_and_nothing_else(region: str, kept: set[str]) -> None:
    fused = FusedAand(Aand("resnet18", SIZE))
    assert set(regions_to_keep(fused, [Overflow(f"{region}.0", region, 1e5)])) == kept
