"""NVIDIA's own parser and builder on every graph that we write; TensorRT-RTX needs no GPU for that.

It shows that a graph is read, typed and quantised as TensorRT wants it. It shows nothing of speed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import helper

from aand_edge.artifacts import Precision
from aand_edge.data.resize import resize_matrix
from aand_edge.engines import cuda
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.tensorrt.backend import TensorRtRtx
from aand_edge.engines.tensorrt.library import collecting_logger, open_library
from aand_edge.errors import AandEdgeError, MissingDependencyError, UsageError
from aand_edge.export.dynamic import write_dynamic
from aand_edge.export.graph import write_graph
from aand_edge.export.quantise import activations, quantise
from aand_edge.export.regions import QUANTISABLE, default_regions
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.choices import BACKBONES
from aand_edge.model.fused import FrameGeometry, FusedAand
from tests.graphs import write_tiny_graph

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed (pip install 'aand-edge[rtx]')")

SIZE = 64
TARGETS = ("sm86", "sm120")


def facts(backbone: str, precision: Precision, **more: Any) -> GraphFacts:
    return GraphFacts("part", backbone, SIZE, (SIZE, SIZE), "BGR", precision, "0" * 64, **more)


def fused(backbone: str, half: bool, geometry: FrameGeometry | None = None) -> FusedAand:
    torch.manual_seed(0)
    return FusedAand(Aand(backbone, SIZE), half=half, geometry=geometry)


def build(graph: Path, precision: Precision, **options: Any) -> bytes:
    return TensorRtRtx().build(graph, BuildOptions(precision, targets=TARGETS, **options)).plan


def quantised(graph: Path, target: Path, regions: tuple[str, ...]) -> Path:
    model = onnx.load(graph)
    # The parser looks at where pairs stand and how they are typed; any range serves.
    onnx.save_model(
        quantise(model, dict.fromkeys(activations(model, QUANTISABLE), 1.0) | _cast_sources(model), regions),
        str(target),
    )
    return target


def _cast_sources(model: onnx.ModelProto) -> dict[str, float]:
    return {node.input[0]: 1.0 for node in model.graph.node if node.op_type == "Cast"}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_parsed_and_built_in_each_precision(tmp_path: Path, backbone: str) -> None:
    single, half = tmp_path / "part.fp32.onnx", tmp_path / "part.fp16.onnx"
    write_graph(fused(backbone, half=False), facts(backbone, "fp32"), single)
    assert build(single, "fp32")
    write_graph(fused(backbone, half=True), facts(backbone, "fp16"), half)
    whole = build(half, "fp16")
    int8 = build(quantised(half, tmp_path / "part.int8.onnx", default_regions(backbone)), "int8")
    assert int8
    if "resnet" in backbone:  # the kernels of a network of depthwise convolutions outweigh its weights
        assert len(int8) < 0.9 * len(whole), "the weights are a byte each"


def test_every_region_may_be_quantised(tmp_path: Path) -> None:
    half = tmp_path / "part.fp16.onnx"
    write_graph(fused("resnet18", half=True), facts("resnet18", "fp16"), half)
    assert build(quantised(half, tmp_path / "part.int8.onnx", QUANTISABLE), "int8")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_frame_with_a_region_and_a_batch_is_parsed_and_built(tmp_path: Path, precision: Precision) -> None:
    roi = (20, 0, 96, 96)
    geometry = FrameGeometry(torch.tensor(resize_matrix(96, SIZE)), torch.tensor(resize_matrix(96, SIZE)), roi)
    graph = tmp_path / "part.onnx"
    asked = replace(facts("efficientnet_lite0", precision, batch=2, roi=roi), frame=(96, 128))
    write_graph(fused("efficientnet_lite0", precision == "fp16", geometry), asked, graph)
    assert build(graph, precision)


def test_what_is_built_without_a_gpu_says_so(tmp_path: Path) -> None:
    if cuda.missing() is None:
        pytest.skip("this machine has a GPU")
    write_tiny_graph(tmp_path / "tiny.fp16.onnx", "fp16")
    built = TensorRtRtx().build(
        tmp_path / "tiny.fp16.onnx", BuildOptions("fp16", targets=TARGETS, log=tmp_path / "build.log")
    )
    assert built.device == {"targets": "sm86 sm120"}
    assert built.executed == {}
    assert "built without its GPU" in built.note
    (tmp_path / "x.plan").write_bytes(built.plan)
    with pytest.raises(MissingDependencyError, match="needs tensorrt-rtx and a GPU"):
        TensorRtRtx().load(tmp_path / "x.plan", built.options)
    with pytest.raises(MissingDependencyError, match="--target sm86"):
        TensorRtRtx().build(tmp_path / "tiny.fp16.onnx", BuildOptions("fp16"))


def test_a_gpu_that_is_not_known_is_refused_with_those_that_are(tmp_path: Path) -> None:
    write_tiny_graph(tmp_path / "tiny.fp32.onnx")
    with pytest.raises(UsageError, match=r"cannot build for 'sm90'.*sm86"):
        TensorRtRtx().build(tmp_path / "tiny.fp32.onnx", BuildOptions("fp32", targets=("sm90",)))


def unsupported(model: onnx.ModelProto) -> None:
    """An operator that no engine knows."""
    model.opset_import.append(helper.make_opsetid("somebody.else", 1))
    node = next(each for each in model.graph.node if each.op_type == "Mul")
    node.op_type, node.domain, node.name = "Nonsense", "somebody.else", "the_culprit"


def dynamic(model: onnx.ModelProto) -> None:
    """A batch size left open, which TensorRT builds with an optimisation profile only."""
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.shape.dim[0].dim_param = "N"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(unsupported, "cannot read .*the_culprit"), (dynamic, "cannot build .*profile")],
)
def test_what_nvidia_refuses_is_told_in_its_words(tmp_path: Path, spoil: Any, message: str) -> None:
    write_tiny_graph(tmp_path / "tiny.fp32.onnx")
    model = onnx.load(tmp_path / "tiny.fp32.onnx")
    spoil(model)
    onnx.save_model(model, str(tmp_path / "tiny.fp32.onnx"))
    with pytest.raises(AandEdgeError, match=message):
        build(tmp_path / "tiny.fp32.onnx", "fp32")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("not a graph")
    with pytest.raises(AandEdgeError, match="cannot read"):
        build(tmp_path / "notes.onnx", "fp32")


def test_a_graph_for_any_batch_is_built_with_an_optimisation_profile(tmp_path: Path) -> None:
    """What a Triton server needs of a plan that takes batches of 1 to 8."""
    graph, dynamic_graph = tmp_path / "part.fp16.onnx", tmp_path / "dynamic.onnx"
    write_graph(fused("efficientnet_lite0", half=True), facts("efficientnet_lite0", "fp16"), graph)
    write_dynamic(graph, dynamic_graph)
    library = open_library("tensorrt-rtx")
    trt, logger = library.trt, collecting_logger(library)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, logger).parse(dynamic_graph.read_bytes()), logger.errors
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("image", *((batch, SIZE, SIZE, 3) for batch in (1, 4, 8)))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    assert builder.build_serialized_network(network, config) is not None, logger.errors
    shapes = [tuple(network.get_output(number).shape) for number in range(network.num_outputs)]
    assert shapes == [(-1, SIZE, SIZE), (-1,)]
