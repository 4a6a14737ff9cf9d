"""Which type each layer runs in: what OpenVINO is asked for, and what it is read back to do.

On a CPU with bfloat16 OpenVINO runs every float layer in it, also those that the graph holds in float32 beside a trunk
in half precision: RAA's matching and the map head, where 1 − cos needs more than bfloat16's 8 bits. They are marked as
OpenVINO's own format marks such layers, and what became of them is read from the network that will be executed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

from aand_edge.engines.cpu import is_arm
from aand_edge.engines.openvino_bytes import use_unsigned

MARK = {"name": "precise", "version": "0"}  # of a layer that is not to be converted to half precision
UNMARKED = frozenset({"Const", "Parameter", "Result", "Convert"})

# What computes nothing: inputs, outputs, and what puts values, weights as a rule, into another order.
BOOKKEEPING = frozenset({"Input", "Parameter", "Output", "Result", "Const", "Constant", "Reorder", "Reshape"})
CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData"})
HALF, INT8 = frozenset({"f16", "bf16"}), frozenset({"i8", "u8"})


def read_marked(core: Any, graph: Path) -> tuple[Any, frozenset[str]]:
    """OpenVINO's model of a graph whose trunk is in half precision, and the names of the layers held in float32.

    Quantised values that are never negative become unsigned bytes; on ARM, where that was not measured,
    they stay as they are.

    Python sets those marks in a model's file alone, so the model is written and read again. Raises RuntimeError where
    OpenVINO cannot read the graph.
    """
    import openvino

    core.set_property({"ENABLE_MMAP": False})  # the file is gone before the model is
    with TemporaryDirectory() as folder:
        file = Path(folder) / "graph.xml"
        model = core.read_model(graph)
        if not is_arm():
            use_unsigned(model)
        openvino.serialize(model, file)
        held = _mark(file)
        return core.read_model(file), held


def _mark(file: Path) -> frozenset[str]:
    tree = ElementTree.parse(file)
    held = [
        layer
        for layer in tree.iterfind("layers/layer")
        if layer.get("type") not in UNMARKED and layer.find("output/port[@precision='FP32']") is not None
    ]
    for layer in held:
        facts = layer.find("rt_info")
        ElementTree.SubElement(ElementTree.SubElement(layer, "rt_info") if facts is None else facts, "attribute", MARK)
    tree.write(file)
    return frozenset(str(layer.get("name")) for layer in held)


def executed_precisions(compiled: Any) -> dict[str, int]:
    """Element type → layers that compute in it."""
    counts = Counter(each["runtimePrecision"] for each in _layers(compiled) if each["layerType"] not in BOOKKEEPING)
    return dict(counts.most_common())


def narrowed(compiled: Any, held: frozenset[str]) -> int:
    """How many layers that were to be held in float32 run in half precision all the same."""
    return sum(
        each["runtimePrecision"] in HALF and not held.isdisjoint(each.get("originalLayersNames", "").split(","))
        for each in _layers(compiled)
    )


def int8_convolutions(compiled: Any) -> int:
    """Convolutions that run in int8; other layers take bytes in any graph, since the frame itself is bytes."""
    return sum(
        each["layerType"] in ("Convolution", "Deconvolution") and each["runtimePrecision"] in INT8
        for each in _layers(compiled)
    )


def quantised_convolutions(model: Any) -> int:
    """Convolutions of a graph whose weights are int8."""
    return sum(node.get_type_name() in CONVOLUTIONS and _stored_as(node) == "i8" for node in model.get_ops())


def _stored_as(convolution: Any) -> str:
    """The element type of a convolution's weights, before they are scaled."""
    weight = convolution.input_value(1).get_node()
    while weight.get_input_size() and weight.get_type_name() != "Constant":
        weight = weight.input_value(0).get_node()
    return str(weight.get_output_element_type(0).to_string())


def _layers(compiled: Any) -> Iterator[dict[str, str]]:
    """The facts of each layer of the network that OpenVINO will execute."""
    for node in compiled.get_runtime_model().get_ops():
        facts = {str(key): str(value.astype(str)) for key, value in node.get_rt_info().items()}
        if "runtimePrecision" in facts:
            yield {**facts, "runtimePrecision": facts["runtimePrecision"].lower()}


def precision_note(precision: str, executed: Mapping[str, int]) -> str:
    """A sentence where the half-precision layers of a graph do not run in float16, otherwise nothing."""
    if precision == "fp32" or "f16" in executed:
        return ""
    if "bf16" in executed:
        return f"this CPU runs half precision in bfloat16: {executed['bf16']} of {sum(executed.values())} layers"
    if precision == "int8":
        return ""
    return "this CPU has no float16 or bfloat16 instructions: the half-precision weights run in float32"
