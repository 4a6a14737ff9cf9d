"""A graph for any batch, as a server needs that joins requests: the static graph with its first dimension named.

A fused graph holds no shape but in its input and outputs: nothing in it reshapes, and every constant applies to each
frame alike. That is not trusted: the new graph must answer batches as the static one answers frame by frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from aand_edge.errors import AandEdgeError
from aand_edge.export.parity import MAP_TOLERANCE
from aand_edge.graph_facts import SEAL, GraphFacts, seal

BATCH = "batch"


def write_dynamic(graph: Path, target: Path) -> None:
    """Write the graph for any batch; its facts say batch 0.

    Raises AandEdgeError where some tensor inside would keep a fixed batch.
    """
    model = onnx.load(graph)
    inner = model.graph
    del inner.value_info[:]
    for each in (*inner.input, *inner.output):
        each.type.tensor_type.shape.dim[0].dim_param = BATCH
    props = {entry.key: entry.value for entry in model.metadata_props}
    props.pop(SEAL.decode(), None)  # it is of the static graph's bytes
    onnx.helper.set_model_props(model, {**props, f"{GraphFacts.PREFIX}batch": "0"})
    outputs = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in inner.output]
    del inner.output[:]
    inner.output.extend(onnx.helper.make_empty_tensor_value_info(each.name) for each in outputs)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    for each in inferred.output:
        if each.type.tensor_type.shape.dim[0].dim_param != BATCH:
            raise AandEdgeError(f"The output {each.name} of {graph.name} has a fixed batch", "Report this as a bug.")
    del inner.output[:]
    inner.output.extend(outputs)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(target))
    seal(target)


def check_batches(static: Path, dynamic: Path, frames: NDArray[np.uint8]) -> float:
    """The largest difference of a map value between the two graphs, over batches of several sizes.

    frames   uint8 (N, H, W, 3)

    Raises AandEdgeError where it is more than the static graph may differ from PyTorch.
    """
    facts = GraphFacts.from_graph(static)
    one, many = (ort.InferenceSession(str(each), providers=["CPUExecutionProvider"]) for each in (static, dynamic))
    worst = 0.0
    for start, size in ((0, 1), (0, 3), (1, 2)):
        part = frames[np.arange(start, start + size) % len(frames)]
        maps = many.run(["anomaly_map"], {"image": part})[0]
        for frame, found in zip(part, maps, strict=True):
            expected = one.run(["anomaly_map"], {"image": np.repeat(frame[None], facts.batch, axis=0)})[0][0]
            worst = float(np.maximum(worst, np.abs(found - expected).max()))
    if not worst <= MAP_TOLERANCE[facts.precision]:
        raise AandEdgeError(
            f"{dynamic.name} answers a batch otherwise than frame by frame: its map differs by {worst:.2g}",
            "It was not kept. Report this as a bug.",
        )
    return worst
