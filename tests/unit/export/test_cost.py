"""What layers compute and move, against counts by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aand_edge.export.cost import count_cost
from aand_edge.export.export import Exported
from aand_edge.graph_cost import GraphCost, Layer
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand
from aand_edge.training.checkpoint import load_model

HALF, FLOAT, INT8 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT8
KINDS = {HALF: np.float16, FLOAT: np.float32, INT8: np.int8}


def graph(
    nodes: list[onnx.NodeProto],
    constants: dict[str, tuple[int, tuple[int, ...]]],
    image: tuple[int, ...] = (1, 3, 8, 8),
    answers: tuple[str, ...] = ("y",),
    kind: int = FLOAT,
) -> onnx.ModelProto:
    """A graph from `x` to the answers, with constants of ones."""
    made = [numpy_helper.from_array(np.ones(shape, KINDS[each]), name) for name, (each, shape) in constants.items()]
    body = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info("x", kind, image)],
        [helper.make_empty_tensor_value_info(name) for name in answers],
        made,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def node(operator: str, reads: str, answer: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, reads.split(), [answer], name=answer, **attributes)


def counted(layers: tuple[Layer, ...]) -> list[tuple[str, str, int, int, int, int]]:
    return [(each.name, each.precision, each.macs, each.weights, each.reads, each.writes) for each in layers]


def test_pointwise_work_behind_a_convolution_is_part_of_its_layer() -> None:
    cost = count_cost(
        graph(
            [
                node("Conv", "x w b", "a", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
                node("Relu", "a", "r"),
                node("Conv", "r v", "c", kernel_shape=[1, 1]),
                node("Add", "c r", "y"),
            ],
            {"w": (FLOAT, (8, 3, 3, 3)), "b": (FLOAT, (8,)), "v": (FLOAT, (8, 8, 1, 1))},
        )
    )
    feature = 4 * 8 * 4 * 4
    assert (cost.input, cost.output) == (4 * 3 * 8 * 8, feature)
    assert counted(cost.layers) == [
        ("a", "fp32", 8 * 16 * 27, 4 * (8 * 27 + 8), 4 * 3 * 64, feature),  # the sum before the ReLU goes nowhere
        ("c", "fp32", 8 * 16 * 8, 4 * 64, feature, feature),  # the skip is what the convolution reads anyway
    ]
    assert cost.macs == 128 * 35
    assert cost.weights == 4 * (8 * 27 + 8 + 64)


def test_a_skip_from_further_back_is_read_once_more() -> None:
    nodes = [
        node("Conv", "x a", "p", kernel_shape=[1, 1]),
        node("Conv", "p b", "q", kernel_shape=[1, 1]),
        node("Conv", "q c", "r", kernel_shape=[1, 1]),
        node("Add", "r p", "y"),
    ]
    weight = (HALF, (3, 3, 1, 1))
    last = count_cost(graph(nodes, {"a": weight, "b": weight, "c": weight}, kind=HALF)).layers[-1]
    assert counted((last,)) == [("r", "fp16", 64 * 9, 2 * 9, 2 * 2 * 3 * 64, 2 * 3 * 64)]


def test_groups_transposed_convolutions_and_matrix_products() -> None:
    cost = count_cost(
        graph(
            [
                node("Conv", "x w", "d", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=4),
                node("ConvTranspose", "d t", "u", kernel_shape=[2, 2], strides=[2, 2]),
                node("MatMul", "u m", "y"),
            ],
            {"w": (FLOAT, (4, 1, 3, 3)), "t": (FLOAT, (4, 6, 2, 2)), "m": (FLOAT, (16, 5))},
            image=(2, 4, 8, 8),
        )
    )
    # Depthwise: 9 products to a value; transposed: each of 2·4·64 inputs meets 6·2·2 weights; product: 16 to a value.
    assert [each.macs for each in cost.layers] == [2 * 4 * 64 * 9, 2 * 4 * 64 * 24, 2 * 6 * 16 * 5 * 16]


def test_quantised_convolutions_read_and_multiply_bytes() -> None:
    constants = {
        "scale": (HALF, ()),
        "zero": (INT8, ()),
        "w": (HALF, (3, 3, 1, 1)),
        "q8": (INT8, (5, 3, 1, 1)),
        "scales": (HALF, (5,)),
        "zeros": (INT8, (5,)),
    }
    cost = count_cost(
        graph(
            [
                node("Conv", "x w", "a", kernel_shape=[1, 1]),
                node("QuantizeLinear", "a scale zero", "q"),
                node("DequantizeLinear", "q scale zero", "dq"),
                node("DequantizeLinear", "q8 scales zeros", "dw", axis=0),
                node("Conv", "dq dw", "y", kernel_shape=[1, 1]),
            ],
            constants,
            kind=HALF,
        )
    )
    first, second = cost.layers
    assert (first.precision, first.reads, first.writes) == ("fp16", 2 * 192, 192)
    assert (second.precision, second.weights, second.reads, second.writes) == ("int8", 15, 192, 2 * 5 * 64)


def test_the_narrower_type_travels() -> None:
    nodes = [
        node("Cast", "x", "wide", to=FLOAT),
        node("Sub", "wide mean", "centred"),
        node("Cast", "centred", "half", to=HALF),
        node("Conv", "half w", "c", kernel_shape=[1, 1]),
        node("Cast", "c", "back", to=FLOAT),
        node("MatMul", "back m", "y"),
    ]
    constants = {"mean": (FLOAT, (1,)), "w": (HALF, (3, 3, 1, 1)), "m": (FLOAT, (8, 8))}
    cost = count_cost(graph(nodes, constants, kind=TensorProto.UINT8))
    assert counted(cost.layers) == [
        ("centred", "fp32", 0, 4, 192, 2 * 192),
        ("c", "fp16", 64 * 9, 2 * 9, 2 * 192, 2 * 192),
        ("y", "fp32", 192 * 8, 4 * 64, 2 * 192, 4 * 192),
    ]


@pytest.mark.parametrize(("backbone", "gmac"), [("wide_resnet50_2", 40.8), ("resnet18", 5.2)])
def test_the_networks_have_as_many_products_as_the_method_says(backbone: str, gmac: float) -> None:
    """Every convolution of the network as it stands there, on tensors without memory."""
    with torch.device("meta"):
        model = Aand(backbone, 256).eval()
        convolutions: list[tuple[nn.Module, tuple[int, ...]]] = []
        for part in model.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                part.register_forward_hook(lambda own, given, _: convolutions.append((own, tuple(given[0].shape))))
        model(torch.zeros(1, 3, 256, 256))
    total = sum(count_cost(_alone(part, shape)).macs for part, shape in convolutions)
    channels = (256, 512, 1024) if backbone == "wide_resnet50_2" else (64, 128, 256)
    matching = sum(100 * each * side**2 for each, side in zip(channels, (64, 32, 16), strict=True))  # no convolution
    assert (total + matching) / 1e9 == pytest.approx(gmac, abs=0.05)


def _alone(part: nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    """A graph of one convolution."""
    assert isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
    operator = "Conv" if isinstance(part, nn.Conv2d) else "ConvTranspose"
    sides = {"kernel_shape": part.kernel_size, "strides": part.stride, "pads": part.padding * 2, "group": part.groups}
    return graph([node(operator, "x w", "y", **sides)], {"w": (FLOAT, tuple(part.weight.shape))}, shape)


def test_an_exported_graph_says_what_torch_counts(model: Path, export: Callable[..., Exported]) -> None:
    fused = FusedAand(load_model(model)[0])
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        fused(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    cost = GraphCost.from_graph(export(precision="fp32").graph)
    assert cost.macs == counter.get_total_flops() // 2
    assert (cost.input, cost.output) == (64 * 64 * 3, 4 * (64 * 64 + 1))
    half = GraphCost.from_graph(export(precision="fp16").graph)
    assert half.macs == cost.macs
    assert half.weights < 0.6 * cost.weights
    assert {each.precision for each in half.layers if each.region.startswith("teacher")} == {"fp16"}
    assert {each.precision for each in half.layers if each.region == "head"} == {"fp32"}
