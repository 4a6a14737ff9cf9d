"""Quantised values that are never negative, as unsigned bytes.

The graph's int8 is signed and symmetric, for TensorRT reads nothing else; of what a ReLU has cut, it uses half of its
steps. An x86 CPU multiplies unsigned bytes by signed ones: OpenVINO shifts signed values by 128, and corrects every
sum for it. From 0 to the same end in 255 steps in place of 127, nothing is shifted and the steps are half as wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIGNED, UNSIGNED = 127, 255  # steps above zero
# What leaves values that are not negative as they are, where all its inputs are so.
KEEPING = frozenset({"Convert", "MaxPool", "DepthToSpace", "Concat", "Minimum"})


def use_unsigned(model: Any) -> int:
    """Turn signed quantisation of values that are never negative into unsigned, in place. Returns how often."""
    turned = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and never_negative(node.input_value(0)):
            _turn(node)
            turned += 1
    return turned


def never_negative(value: Any) -> bool:
    """Whether the graph itself tells that none of these values is below zero."""
    node = value.get_node()
    kind, inputs = node.get_type_name(), [each.get_source_output() for each in node.inputs()]
    if kind == "Constant":
        return bool((node.get_data() >= 0).all())
    if kind == "Maximum":  # with 0, of a ReLU6
        return any(map(never_negative, inputs))
    return kind == "Relu" or (kind in KEEPING and all(map(never_negative, inputs)))


def _turn(quantise: Any) -> None:
    """FakeQuantize → int8 → float → − 0 → · scale becomes FakeQuantize → uint8 → float → · smaller scale."""
    from openvino import opset13 as ops

    multiply = quantise
    while multiply.get_type_name() != "Multiply":
        (reader,) = multiply.output(0).get_target_inputs()
        multiply = reader.get_node()
    kind = multiply.get_output_element_type(0)
    scale = _constant(multiply.input_value(1)) * (SIGNED / UNSIGNED)
    scale = scale.astype(kind.to_dtype())  # the quantiser's steps are those of the rounded scale
    high = np.float32(scale) * UNSIGNED
    values = quantise.input_value(0)
    steps = ops.fake_quantize(values, np.float32(0), high, np.float32(0), np.float32(UNSIGNED), UNSIGNED + 1)
    again = ops.multiply(ops.convert(ops.convert(steps, "u8"), kind.to_string()), ops.constant(scale))
    steps.set_friendly_name(quantise.get_friendly_name())
    again.set_friendly_name(multiply.get_friendly_name())
    multiply.output(0).replace(again.output(0))


def _constant(value: Any) -> Any:
    """The value of a constant, through a conversion of its type."""
    node = value.get_node()
    return _constant(node.input_value(0)) if node.get_type_name() == "Convert" else node.get_data().astype(np.float32)
