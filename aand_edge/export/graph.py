"""From the fused module to one ONNX file: static shapes, opset 20, simplified, with the facts a reader needs."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import onnxsim
import torch

from aand_edge.artifacts import GraphFacts, atomic_path
from aand_edge.errors import AandEdgeError
from aand_edge.model.fused import FusedAand

OPSET = 20  # the newest that TensorRT 10.3 parses; float16 Q/DQ scales need 19


def write_graph(fused: FusedAand, facts: GraphFacts, path: Path) -> None:
    """Export `fused` for facts.batch frames of facts.frame pixels, and put the facts into the file."""
    graph, simplified = onnxsim.simplify(_trace(fused, facts))
    if not simplified:
        raise AandEdgeError("The simplified graph does not compute what the graph computed", "Report this as a bug.")
    onnx.helper.set_model_props(graph, facts.to_metadata())
    onnx.checker.check_model(graph, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save_model(graph, str(temporary))


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
