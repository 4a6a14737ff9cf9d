"""A small fused graph for tests of what comes after export: the same inputs, outputs and metadata, in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aand_edge.artifacts import Precision
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.build import BuildRequest
from aand_edge.graph_facts import GraphFacts
from aand_edge.holdout import HoldoutSet

SIZE = 32


def write_tiny_graph(path: Path, precision: Precision = "fp32", batch: int = 1, size: int = SIZE) -> GraphFacts:
    """map = mean of the channels / 255, score = its maximum; with a half-precision middle for fp16.

    Of the first format, which need not be sealed: tests write something else into it.
    """
    facts = GraphFacts("tiny", "resnet18", size, (size, size), "BGR", precision, "0" * 64, batch, format=1)
    middle = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    scale = helper.make_tensor(
        "scale", middle, [], np.array([1 / 255], np.float16 if precision == "fp16" else np.float32).tobytes(), raw=True
    )
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [3])
    plane = helper.make_tensor("plane", TensorProto.INT64, [2], [1, 2])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=middle),
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "axis"], ["mean"], keepdims=0),
        helper.make_node("Cast", ["mean"], ["anomaly_map"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["anomaly_map", "plane"], ["score"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, size, size, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [batch, size, size]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [batch]),
        ],
        [scale, axis, plane],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, facts.to_metadata())
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return facts


def tiny_frames(count: int, size: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """Dark frames, each with one spot of its own brightness: uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 40, (count, size, size, 3), dtype=np.uint8)
    frames[:, 5:9, 5:9] = rng.integers(60, 120, (count, 1, 1, 1), dtype=np.uint8)
    return frames


def tiny_scores(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the graph answers."""
    scores: NDArray[np.float32] = (frames.astype(np.float32).mean(axis=3) / 255).max(axis=(1, 2)).astype(np.float32)
    return scores


def write_tiny_model(
    folder: Path, precision: Precision = "fp32", batch: int = 1, pictures: int = 12, size: int = SIZE
) -> tuple[Path, Path]:
    """A graph and its held-out set, as `export` leaves them."""
    graph, holdout = folder / f"tiny.{precision}.onnx", folder / "tiny.holdout.npz"
    facts = write_tiny_graph(graph, precision, batch, size)
    frames = tiny_frames(pictures, size)
    names = tuple(f"{n}.png" for n in range(pictures))
    HoldoutSet(frames, tiny_scores(frames), names, facts.colour, facts.roi, facts.weights).write(holdout)
    return graph, holdout


def tiny_request(
    folder: Path,
    backend: str = "onnxruntime",
    precision: Precision = "fp32",
    batch: int = 1,
    size: int = SIZE,
    **more: Any,
) -> BuildRequest:
    """A build of such a model, from `folder/models` into `folder/engines`."""
    graph, holdout = write_tiny_model(folder / "models", precision, batch, size=size)
    return BuildRequest(graph, holdout, folder / "engines", BuildOptions(precision), backend, 0.1, **more)
