"""Graphs of strangers: their metadata is read as it is typed, or refused with exit code 4."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aand_edge.graph_cost import KEY, GraphCost, Layer
from aand_edge.graph_facts import GraphFacts, check_seal, seal
from tests.graphs import write_tiny_graph
from tests.hostile import TEXTS, at_most, bounded, retyped, spoilt, taken_or_refused

VALUES = st.one_of(
    TEXTS,
    st.integers().map(str),
    st.sampled_from(["nan", "-1", "0", "1" * 5000, "1x1", "0x0", "-3x5", "1x2x3", "1,2,3", "0,0,-1,5", "9" * 30, "²"]),
)


def check(facts: GraphFacts | None) -> None:
    if facts is None:
        return
    assert facts.name
    assert facts.precision in ("fp32", "fp16", "int8")
    assert facts.colour in ("BGR", "RGB")
    assert min(facts.size, *facts.frame, facts.weight_bits, facts.format) >= 1
    assert min(facts.batch, facts.calibrated_on) >= 0
    if facts.roi is not None:
        x, y, width, height = facts.roi
        assert min(x, y) >= 0
        assert min(width, height) >= 1
        assert x + width <= facts.frame[1]
        assert y + height <= facts.frame[0]


def test_retyped_metadata_are_facts_or_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    whole = write_tiny_graph(path).to_metadata()
    model = onnx.load(path)

    @bounded(250)
    @given(st.sampled_from(sorted(whole)), st.one_of(st.none(), VALUES), st.sampled_from(sorted(whole)), VALUES)
    def retype(key: str, value: str | None, other: str, second: str) -> None:
        changed = {**whole, **({} if len(second) % 2 else {other: second})}
        changed = {**changed, key: value} if value is not None else {k: v for k, v in changed.items() if k != key}
        onnx.helper.set_model_props(model, changed)
        path.write_bytes(model.SerializeToString())
        check(taken_or_refused(lambda: GraphFacts.from_graph(path), 4))

    retype()


@pytest.mark.parametrize("end", [False, True])
def test_a_spoilt_graph_is_one_or_is_refused(tmp_path: Path, end: bool) -> None:
    path = tmp_path / "g.onnx"
    write_tiny_graph(path)
    seal(path)
    whole = path.read_bytes()

    @bounded(150)
    @given(spoilt(whole[::-1] if end else whole, header=400))  # metadata lie at the end
    def spoil(data: bytes) -> None:
        path.write_bytes(data[::-1] if end else data)
        check(taken_or_refused(lambda: GraphFacts.from_graph(path), 4))
        taken_or_refused(lambda: check_seal(path), 4)

    with at_most(100):
        spoil()


def test_a_retyped_cost_is_one_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    facts = write_tiny_graph(path)
    model = onnx.load(path)
    layers = (Layer("conv", "stem", "fp32", 10, 20, 30, 40), Layer("pool", "map", "fp16", 0, 0, 1, 2))
    whole = json.loads(GraphCost(1, 2, layers).to_metadata()[KEY])

    @bounded(150)
    @given(st.one_of(retyped(whole), TEXTS))
    def retype(text: str) -> None:
        onnx.helper.set_model_props(model, {**facts.to_metadata(), KEY: text})
        path.write_bytes(model.SerializeToString())
        cost = taken_or_refused(lambda: GraphCost.from_graph(path), 4)
        if cost is not None:
            assert min(cost.macs, cost.weights, cost.moved, cost.input, cost.output) >= 0
            assert all(layer.precision in ("fp32", "fp16", "int8") for layer in cost.layers)

    retype()
