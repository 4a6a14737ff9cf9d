"""Graphs of a network that nobody trained: as `export` writes them, of one frame and of several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from aand_edge.graph_facts import GraphFacts, check_seal
from benchmarks.untrained import Graphs, network, noise

SIZE = 64


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    made = Graphs(network("resnet18", SIZE), tmp_path_factory.mktemp("graphs"), noise(2, SIZE))
    made.write()
    made.write(batch=2)
    return made


@pytest.mark.parametrize("stem", ["untrained", "untrained-b2"])
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("fp16", 1e-2), ("int8", 0.3)])
def test_each_graph_is_whole_and_answers_as_the_module(graphs: Graphs, stem: str, precision: str, bound: float) -> None:
    path = graphs.folder / f"{stem}.{precision}.onnx"
    facts = GraphFacts.from_graph(path)
    assert check_seal(path)
    assert (facts.precision, facts.batch) == (precision, 2 if "b2" in stem else 1)
    assert graphs.frames is not None
    frames, wanted = graphs.frames[: facts.batch], graphs.maps()[: facts.batch]
    (found,) = ort.InferenceSession(path).run(["anomaly_map"], {"image": frames})
    assert np.abs(found - wanted).max() < bound
    assert wanted.max() > 0.5  # the bounds are small beside it


def test_without_frames_every_range_is_one(tmp_path: Path) -> None:
    made = Graphs(network("efficientnet_lite0", SIZE), tmp_path)
    paths = made.write()
    assert check_seal(paths["int8"])
    assert {each.range for each in made._table(()).tensors.values()} == {1.0}


def test_a_network_is_the_same_each_time() -> None:
    first, second = (network("resnet18", SIZE).state_dict() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)
