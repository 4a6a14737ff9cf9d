"""Is a fused graph one that every engine reads alike? What `inspect` prints, and what `build` refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from aand_edge.errors import ArtefactMismatchError
from aand_edge.export.quantise import element_types
from aand_edge.export.regions import QUANTISABLE, region_of
from aand_edge.graph_facts import GraphFacts

OPSET = 20  # the newest that TensorRT 10.3 parses; float16 Q/DQ scales need 19

# What a fused graph is made of: all of it is read by TensorRT 10.3 to 11, TensorRT-RTX, OpenVINO and ONNX Runtime.
OPERATORS = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Exp", "Sqrt", "Reciprocal", "Tanh", "Relu", "Clip"),
        *("Conv", "ConvTranspose", "MatMul", "MaxPool", "ReduceMax", "ReduceSum"),
        *("Cast", "Concat", "DepthToSpace", "Pad", "Slice", "Transpose", "QuantizeLinear", "DequantizeLinear"),
    }
)
FLOAT32_REGIONS = ("head", "match")  # squares of features overflow in half precision
NAMES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.INT8: "int8"}

Node = onnx.NodeProto


@dataclass(frozen=True)
class GraphReport:
    """What a graph holds.

    types       region → element type → number of nodes that answer in it
    scales      smallest and largest of the Q/DQ pairs, None where nothing is quantised
    problems    a sentence for each thing that an engine would read wrongly, with the node's name
    """

    opset: int
    operators: dict[str, int]
    types: dict[str, dict[str, int]]
    quantised_activations: int
    quantised_weights: int
    scales: tuple[float, float] | None
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**self.__dict__, "problems": list(self.problems)}

    def raise_for_problems(self, path: Path) -> None:
        """Raises ArtefactMismatchError with the first problem."""
        if self.problems:
            more = f" ({len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            raise ArtefactMismatchError(f"{path} is not valid: {self.problems[0]}{more}", "Export it again.")


def validate(path: Path) -> GraphReport:
    """Read a fused graph and look at every node. Raises ArtefactMismatchError where the file is no such graph."""
    facts = GraphFacts.from_graph(path)
    return inspect_model(onnx.load(path), facts)


def inspect_model(model: onnx.ModelProto, facts: GraphFacts) -> GraphReport:
    """The report on a graph in memory."""
    graph = _Graph(model)
    types: dict[str, Counter[str]] = {}
    for node in model.graph.node:
        kind = graph.types.get(node.output[0], 0)
        types.setdefault(region_of(node) or "none", Counter())[NAMES.get(kind, "other")] += 1
    quantisers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    weights = [node for node in model.graph.node if _dequantises_weight(node, graph)]
    scales = [graph.constants[node.input[1]] for node in (*quantisers, *weights) if node.input[1] in graph.constants]
    return GraphReport(
        opset=graph.opset,
        operators=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        types={region: dict(counts) for region, counts in types.items()},
        quantised_activations=len(quantisers),
        quantised_weights=len(weights),
        scales=(min(float(s.min()) for s in scales), max(float(s.max()) for s in scales)) if scales else None,
        problems=tuple(problem for rule in RULES for problem in rule(graph, facts)),
    )


class _Graph:
    """A model with its constants and element types at hand."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: list[Node] = list(model.graph.node)
        self.opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
        self.constants: dict[str, NDArray[Any]] = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self.types = element_types(model)


def _dequantises_weight(node: Node, graph: _Graph) -> bool:
    return node.op_type == "DequantizeLinear" and node.input[0] in graph.constants


def _opset(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    if graph.opset != OPSET:
        yield f"opset {graph.opset} in place of {OPSET}"


def _operators(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    for node in graph.nodes:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            yield f"the operator {node.op_type} of node '{node.name}' is outside the supported list"


def _zero_points(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    """TensorRT reads unsigned zero points as signed, with no more than a warning."""
    for node in _pairs(graph):
        zero = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None:
            yield f"node '{node.name}' has no constant zero point"
        elif zero.dtype != np.int8:
            yield f"the zero point of node '{node.name}' is {zero.dtype} in place of int8"
        elif zero.any():
            yield f"the zero point of node '{node.name}' is not 0"


def _scales(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    for node in _pairs(graph):
        scale = graph.constants.get(node.input[1])
        if scale is None:
            yield f"node '{node.name}' has no constant scale"
        elif not (np.isfinite(scale).all() and (scale > 0).all()):
            yield f"a scale of node '{node.name}' is zero, negative or not finite"


def _places(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    for node in _pairs(graph):
        if region_of(node) not in QUANTISABLE:
            yield f"node '{node.name}' quantises the region '{region_of(node) or 'none'}'"
    biases = {
        node.input[2] for node in graph.nodes if node.op_type in ("Conv", "ConvTranspose") and len(node.input) > 2
    }
    for node in _pairs(graph):
        if node.output[0] in biases:
            yield f"node '{node.name}' quantises a bias, which TensorRT refuses"


def _float32_regions(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    for node in graph.nodes:
        if region_of(node) in FLOAT32_REGIONS and graph.types.get(node.output[0]) == TensorProto.FLOAT16:
            yield f"node '{node.name}' of the region '{region_of(node)}' answers in float16"


def _as_asked(graph: _Graph, facts: GraphFacts) -> Iterator[str]:
    """The precision that the metadata name is the one in the nodes."""
    convolutions = [node for node in graph.nodes if node.op_type == "Conv" and region_of(node) not in FLOAT32_REGIONS]
    in_half = sum(graph.types.get(node.output[0]) == TensorProto.FLOAT16 for node in convolutions)
    pairs = any(True for _ in _pairs(graph))
    if facts.precision == "fp32" and in_half:
        yield f"it is named fp32 and {in_half} convolutions run in float16"
    if facts.precision != "fp32" and not in_half:
        yield f"it is named {facts.precision} and no convolution runs in float16"
    if pairs != (facts.precision == "int8"):
        yield f"it is named {facts.precision} and holds {'' if pairs else 'no '}Q/DQ pairs"


def _pairs(graph: _Graph) -> Iterator[Node]:
    return (node for node in graph.nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear"))


RULES: tuple[Callable[[_Graph, GraphFacts], Iterator[str]], ...] = (
    _opset,
    _operators,
    _zero_points,
    _scales,
    _places,
    _float32_regions,
    _as_asked,
)
