"""Floors are arithmetic: layers of known size on a chip of known rates."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from aand_edge.bench.chips import CHIPS, Chip
from aand_edge.bench.roofline import LABEL, Roofline, floor_of, to_dict, to_markdown, write_rooflines
from aand_edge.errors import ArtefactMismatchError
from aand_edge.graph_cost import GraphCost, Layer
from tests.graphs import write_tiny_graph

CHIP = Chip("toy", "cold", {"fp32": 1.0, "fp16": 2.0, "int8": 4.0}, 100.0, "none")
COMPUTING = Layer("a", "stem", "fp16", macs=10**9, weights=10**6, reads=10**7, writes=10**7)  # 1 ms, 0.21 ms of memory
MOVING = Layer("b", "head", "int8", macs=10**8, weights=0, reads=10**7, writes=5 * 10**7)  # 0.05 ms, 0.6 of memory
COST = GraphCost(input=10**7, output=5 * 10**7, layers=(COMPUTING, MOVING))


def write(folder: Path, cost: GraphCost | None) -> Path:
    path = folder / "tiny.fp32.onnx"
    write_tiny_graph(path)
    if cost is not None:
        model = onnx.load(path)
        for key, value in cost.to_metadata().items():
            model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=value))
        onnx.save_model(model, str(path))
    return path


def test_a_layer_takes_the_longer_of_its_work_and_its_bytes() -> None:
    floor = floor_of(COST, CHIP)
    assert floor.layers_ms == pytest.approx(1.0 + 0.6)
    assert floor.memory == pytest.approx(0.6 / 1.6)
    assert floor.fused_ms == pytest.approx(1.05)  # all products; weights, frames and maps take 0.61 ms beside them


def test_fused_memory_can_be_the_floor() -> None:
    weights = Layer("w", "bottleneck", "int8", macs=1000, weights=2 * 10**8, reads=0, writes=0)
    assert floor_of(GraphCost(0, 0, (weights,)), CHIP).fused_ms == pytest.approx(2.0)


def test_the_fused_floor_lies_below_the_other_on_every_chip() -> None:
    for chip in CHIPS:
        floor = floor_of(COST, chip)
        assert 0 < floor.fused_ms <= floor.layers_ms


def test_the_makers_rates_are_dense_and_named() -> None:
    assert len({chip.name for chip in CHIPS}) == len(CHIPS)
    for chip in CHIPS:
        assert chip.rates["int8"] == pytest.approx(2 * chip.rates["fp16"], rel=0.01)  # of each of their tensor cores
        assert chip.rates["fp32"] <= chip.rates["fp16"] / 1.9
        assert any(year in chip.source for year in ("2019", "2022", "2023", "2024", "2025"))


def test_counts_travel_in_the_graph(tmp_path: Path) -> None:
    roofline = Roofline.of(write(tmp_path, COST), (CHIP,))
    assert roofline.cost == COST
    assert roofline.lines() == [("toy", "cold", "1.60", "37 %", "1.05")]
    found = roofline.to_dict()
    assert (found["gmac"], found["weights_mb"], found["moved_mb"]) == (1.1, 1.0, 81.0)


def test_everything_says_that_nothing_was_measured(tmp_path: Path) -> None:
    rooflines = [Roofline.of(write(tmp_path, COST))]
    write_rooflines(rooflines, tmp_path / "out")
    written = (tmp_path / "out/roofline.md").read_text()
    assert written == to_markdown(rooflines)
    assert LABEL in written.splitlines()[0]
    assert all(chip.source in written for chip in CHIPS)
    assert json.loads((tmp_path / "out/roofline.json").read_text()) == to_dict(rooflines)
    assert to_dict(rooflines)["label"] == LABEL
    assert LABEL in rooflines[0].title()


def test_a_graph_that_says_nothing_or_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactMismatchError, match="does not say what its layers cost"):
        Roofline.of(write(tmp_path, None))
    path = write(tmp_path, COST)
    path.write_bytes(path.read_bytes().replace(b'"layers"', b'"lagers"'))
    with pytest.raises(ArtefactMismatchError, match="cannot be read"):
        Roofline.of(path)
