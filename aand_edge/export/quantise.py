"""Explicit int8: symmetric QuantizeLinear/DequantizeLinear pairs in the trunk of a fused graph.

    activation ─ Q ─ DQ ─┐
    int8 weight ───── DQ ┴ Conv (bias as it was) ─ … ─ Add ← DQ ← Q ← skip

Both TensorRT and OpenVINO read these pairs as "run this convolution in int8". Weights have a scale for each output
channel, activations one for the tensor, zero points are 0. Of a residual addition only the skip branch is quantised:
the other is the convolution's own sum, which then never leaves its wide accumulator. Scales have the graph's type:
float16 where the trunk is in half.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from aand_edge.errors import ArtefactMismatchError
from aand_edge.export.ranges import STEPS
from aand_edge.export.regions import QUANTISABLE, region_of, write_region

CONVOLUTIONS = ("Conv", "ConvTranspose")
# Below this a float16 scale holds fewer than four significant bits; a channel so small changes nothing.
LEAST_SCALE = 2.0**-20


def quantisable(graph: onnx.ModelProto, regions: Collection[str]) -> list[onnx.NodeProto]:
    """The convolutions of those regions."""
    return [node for node in graph.graph.node if node.op_type in CONVOLUTIONS and region_of(node) in regions]


def regions_with_convolutions(graph: onnx.ModelProto) -> tuple[str, ...]:
    """The regions that there is something to quantise in, in the order of the data; a graph without RAA has fewer."""
    there = {region_of(node) for node in quantisable(graph, QUANTISABLE)}
    return tuple(region for region in QUANTISABLE if region in there)


def activations(graph: onnx.ModelProto, regions: Collection[str]) -> list[str]:
    """Names of the tensors that get a scale: what the convolutions read, and the skips of residual additions."""
    chosen = quantisable(graph, regions)
    skips = [skip for _, skip in _residual_additions(graph, chosen)]
    return list(dict.fromkeys([*(node.input[0] for node in chosen), *skips]))


def quantise(
    graph: onnx.ModelProto, ranges: Mapping[str, float], regions: Collection[str], weight_bits: int = 8
) -> onnx.ModelProto:
    """A copy of `graph` with Q/DQ pairs in `regions`; `ranges` holds the magnitude that each tensor's steps reach to.

    weight_bits   7 for CPUs that add two products of 8 by 8 bits in 16: with 8 bits the sum saturates

    Raises ArtefactMismatchError where a tensor has no range.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    casts = _casts(copy)
    missing = [name for name in activations(copy, regions) if casts.get(name, name) not in ranges]
    if missing:
        raise ArtefactMismatchError(
            f"The calibration table has no range for '{missing[0]}' ({len(missing)} missing)",
            "Calibrate this graph with `aand-edge calibrate`.",
        )
    chosen = quantisable(copy, regions)
    writer = _Writer(copy, ranges, 2 ** (weight_bits - 1) - 1)
    additions = _residual_additions(copy, chosen)
    for node in chosen:
        node.input[0] = writer.activation(node.input[0], region_of(node))
        node.input[1] = writer.weight(node)
    for node, skip in additions:
        position = list(node.input).index(skip)
        node.input[position] = writer.activation(skip, region_of(node))
    writer.finish()
    return copy


def _residual_additions(graph: onnx.ModelProto, chosen: list[onnx.NodeProto]) -> list[tuple[onnx.NodeProto, str]]:
    """(Add, name of its skip input) of each addition that ends a chosen convolution."""
    convolutions = [node.output[0] for node in graph.graph.node if node.op_type in CONVOLUTIONS]
    order = {name: place for place, name in enumerate(convolutions)}
    readers = Counter(name for node in graph.graph.node for name in node.input)
    constants = {each.name for each in graph.graph.initializer}
    taken = {node.output[0] for node in chosen}
    found = []
    for node in graph.graph.node:
        summed = [name for name in node.input if name in order and readers[name] == 1]
        if node.op_type == "Add" and summed and not constants & set(node.input):
            # A shortcut may be a convolution too; the graph holds it behind the block's own last one.
            last = min(summed, key=lambda name: order[name])
            if last in taken:
                found.append((node, next(name for name in node.input if name != last)))
    return found


class _Writer:
    """Adds pairs and scales to a graph; a tensor that several convolutions read is quantised once."""

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, float], weight_steps: int) -> None:
        self.model, self.ranges, self.weight_steps = model, ranges, weight_steps
        self.weights = {each.name: each for each in model.graph.initializer}
        self.types, self.casts = element_types(model), _casts(model)
        self.pairs: dict[str, list[onnx.NodeProto]] = {}

    def activation(self, name: str, region: str) -> str:
        """The dequantised copy of a tensor."""
        if name not in self.pairs:
            scale = self._scales(name, np.array(self.ranges[self.casts.get(name, name)] / STEPS), self.types[name])
            zero = self._constant(f"{name}.zero", np.zeros((), np.int8))
            self.pairs[name] = [
                self._node("QuantizeLinear", [name, scale, zero], f"{name}.q", region),
                self._node("DequantizeLinear", [f"{name}.q", scale, zero], f"{name}.dq", region),
            ]
        return f"{name}.dq"

    def weight(self, node: onnx.NodeProto) -> str:
        """The dequantised copy of a convolution's weight, a scale for each output channel."""
        name, region = node.input[1], region_of(node)
        key = f"{name}.int8"
        if key not in self.pairs:
            stored = self.weights[name]
            values = numpy_helper.to_array(stored).astype(np.float32)
            axis = 1 if node.op_type == "ConvTranspose" and _groups(node) == 1 else 0
            others = tuple(each for each in range(values.ndim) if each != axis)
            scale = self._scales(name, np.abs(values).max(axis=others) / self.weight_steps, stored.data_type)
            steps = numpy_helper.to_array(self.weights[scale]).astype(np.float32)
            shape = [-1 if each == axis else 1 for each in range(values.ndim)]
            quantised = np.clip(np.round(values / steps.reshape(shape)), -self.weight_steps, self.weight_steps).astype(
                np.int8
            )
            zero = self._constant(f"{name}.zero", np.zeros(steps.shape, np.int8))
            inputs = [self._constant(key, quantised), scale, zero]
            self.pairs[key] = [self._node("DequantizeLinear", inputs, f"{name}.dq", region, axis=axis)]
        return f"{name}.dq"

    def finish(self) -> None:
        """Put the pairs in front of their first readers, and drop the weights that no one reads any more."""
        waiting = {output: pair for pair in self.pairs.values() for output in pair[-1].output}
        nodes = []
        for node in self.model.graph.node:
            for name in node.input:
                nodes += waiting.pop(name, [])
            nodes.append(node)
        read = {name for node in nodes for name in node.input}
        kept = [each for each in self.weights.values() if each.name in read]
        del self.model.graph.node[:], self.model.graph.initializer[:]
        self.model.graph.node.extend(nodes)
        self.model.graph.initializer.extend(kept)

    def _scales(self, name: str, values: NDArray[np.floating], kind: int) -> str:
        """Scales as the graph's type holds them: rounded up where that is half, so that nothing more is clipped."""
        scales = np.maximum(values.astype(np.float32), LEAST_SCALE)
        if kind == TensorProto.FLOAT16:
            half = scales.astype(np.float16)
            scales = np.where(half < scales, np.nextafter(half, np.float16(np.inf)), half).astype(np.float16)
        return self._constant(f"{name}.scale", scales)

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
        return name

    def _node(self, operator: str, inputs: list[str], output: str, region: str, **attributes: int) -> onnx.NodeProto:
        node = helper.make_node(operator, inputs, [output], name=output)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        write_region(node, region)
        return node


def _casts(model: onnx.ModelProto) -> dict[str, str]:
    """Output → input of each cast: the fp32 graph, which is calibrated, has none."""
    return {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type (TensorProto.DataType) of every tensor, as shape inference finds them."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    typed = [*inferred.input, *inferred.value_info, *inferred.output]
    return {each.name: each.type.tensor_type.elem_type for each in typed} | {
        each.name: each.data_type for each in inferred.initializer
    }
