"""Counts a fused graph's multiply-accumulates and bytes, layer by layer.

A layer is a convolution or a matrix product with the pointwise work behind it, which every engine merges into it: what
the two pass to each other is not counted. A conversion to a wider type belongs to its reader and one to a narrower type
to its writer, so that the narrower type is what travels; a convolution behind a Q/DQ pair reads and multiplies int8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import onnx
from onnx import TensorProto

from aand_edge.artifacts import Precision
from aand_edge.export.regions import region_of
from aand_edge.graph_cost import GraphCost, Layer
from aand_edge.graph_facts import GraphFacts

PRODUCTS = ("Conv", "ConvTranspose", "MatMul")
CONVERSIONS = ("Cast", "QuantizeLinear", "DequantizeLinear")
WIDTHS: dict[int, int] = {
    TensorProto.UINT8: 1,
    TensorProto.INT8: 1,
    TensorProto.FLOAT16: 2,
    TensorProto.FLOAT: 4,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
}


def count_cost(model: onnx.ModelProto) -> GraphCost:
    """The cost of a graph with static shapes."""
    tensors = _tensors(model)
    layers = _layers(model, tensors)
    outputs = {each.name for each in model.graph.output}
    return GraphCost(
        input=sum(tensors[each.name].bytes for each in model.graph.input),
        output=sum(tensors[name].bytes for name in outputs),
        layers=tuple(_costed(index, layers, tensors, outputs) for index in range(len(layers))),
    )


def describe(graph: onnx.ModelProto, facts: GraphFacts) -> None:
    """Write into a graph what it is and what its layers cost, in place of what stood there."""
    onnx.helper.set_model_props(graph, {**facts.to_metadata(), **count_cost(graph).to_metadata()})


@dataclass(frozen=True)
class _Tensor:
    shape: tuple[int, ...]
    kind: int  # TensorProto.DataType
    constant: bool

    @property
    def bytes(self) -> int:
        return prod(self.shape) * WIDTHS[self.kind]


@dataclass
class _Open:
    """A layer while its nodes are collected."""

    first: onnx.NodeProto
    precision: Precision
    macs: int
    reads: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)


def _tensors(model: onnx.ModelProto) -> dict[str, _Tensor]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    found = {each.name: _Tensor(tuple(each.dims), each.data_type, True) for each in inferred.initializer}
    for each in (*inferred.input, *inferred.value_info, *inferred.output):
        typed = each.type.tensor_type
        found[each.name] = _Tensor(tuple(dim.dim_value for dim in typed.shape.dim), typed.elem_type, False)
    return found


def _layers(model: onnx.ModelProto, tensors: dict[str, _Tensor]) -> list[_Open]:
    layers: list[_Open] = []
    source: dict[str, str] = {}  # what a widened tensor was widened from
    maker: dict[str, int] = {}  # index of the layer that makes a tensor
    for node in model.graph.node:
        read = [source.get(name, name) for name in node.input if name]
        output = node.output[0]
        if node.op_type in CONVERSIONS and WIDTHS[tensors[output].kind] > WIDTHS[tensors[read[0]].kind]:
            source[output] = read[0]
            continue
        makers = [maker[name] for name in read if name in maker]
        if node.op_type in PRODUCTS or not makers:
            layers.append(_Open(node, _precision(node, source, tensors), _macs(node, tensors)))
        index = len(layers) - 1 if node.op_type in PRODUCTS or not makers else max(makers)
        layers[index].reads.update(read)
        layers[index].made.update(node.output)
        maker.update(dict.fromkeys(node.output, index))
    return layers


def _precision(node: onnx.NodeProto, source: dict[str, str], tensors: dict[str, _Tensor]) -> Precision:
    """What a node multiplies in: int8 where both its inputs were dequantised, else the type of its answer."""
    kinds = [tensors[source[name]].kind if name in source else None for name in node.input[:2]]
    if kinds == [TensorProto.INT8, TensorProto.INT8]:
        return "int8"
    return "fp16" if tensors[node.output[0]].kind == TensorProto.FLOAT16 else "fp32"


def _macs(node: onnx.NodeProto, tensors: dict[str, _Tensor]) -> int:
    if node.op_type not in PRODUCTS:
        return 0
    data, weight, answer = (tensors[name].shape for name in (*node.input[:2], node.output[0]))
    if node.op_type == "MatMul":
        return prod(answer) * data[-1]
    # Weights are (out, in / groups, …), of a transposed convolution (in, out / groups, …): each value that goes out of
    # the one, or into the other, takes part in the product of the rest.
    return prod(answer if node.op_type == "Conv" else data) * prod(weight[1:])


def _costed(index: int, layers: list[_Open], tensors: dict[str, _Tensor], outputs: set[str]) -> Layer:
    layer = layers[index]
    read = layer.reads - layer.made
    wanted = outputs.union(*(each.reads for place, each in enumerate(layers) if place != index))
    return Layer(
        name=layer.first.name or layer.first.output[0],
        region=region_of(layer.first),
        precision=layer.precision,
        macs=layer.macs,
        weights=sum(tensors[name].bytes for name in read if tensors[name].constant),
        reads=sum(tensors[name].bytes for name in read if not tensors[name].constant),
        writes=sum(tensors[name].bytes for name in layer.made & wanted),
    )
