"""From the fused module to one ONNX file: static shapes, opset 20, simplified, with the facts a reader needs."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import onnxsim
import torch

from aand_edge.artifacts import atomic_path
from aand_edge.errors import AandEdgeError
from aand_edge.export.cost import describe
from aand_edge.export.regions import name_regions
from aand_edge.export.validate import OPSET, inspect_model
from aand_edge.graph_facts import GraphFacts, seal
from aand_edge.model.fused import FusedAand


def write_graph(fused: FusedAand, facts: GraphFacts, path: Path, name: Path | None = None) -> None:
    """Export `fused` for facts.batch frames of facts.frame pixels, and put the facts into the file.

    name   where it will lie, if `path` is temporary: what an error speaks of
    """
    traced = _trace(fused, facts)
    graph, simplified = onnxsim.simplify(traced)
    if not simplified:
        raise AandEdgeError("The simplified graph does not compute what the graph computed", "Report this as a bug.")
    name_regions(graph, traced)
    describe(graph, facts)
    onnx.checker.check_model(graph, full_check=True)
    inspect_model(graph, facts).raise_for_problems(name or path)
    with atomic_path(path) as temporary:
        onnx.save_model(graph, str(temporary))
        seal(temporary)


def _trace(fused: FusedAand, facts: GraphFacts) -> onnx.ModelProto:
    frames = torch.zeros(facts.batch, *facts.frame, 3, dtype=torch.uint8)
    logging.getLogger("onnxscript").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated internals
        program = torch.onnx.export(
            fused.eval(),
            (frames,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["anomaly_map", "score"],
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model
