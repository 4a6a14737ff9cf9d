"""On a machine with an NVIDIA GPU: CUDA's memory, and every engine that can run there against the PyTorch module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from aand_edge.artifacts import Precision
from aand_edge.engines import cuda
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.registry import FACTORIES
from aand_edge.engines.tensorrt.runner import TensorRtRunner
from aand_edge.export.calibrate import CalibrationOptions, read_ranges
from aand_edge.export.graph import write_graph
from aand_edge.export.quantise import quantise
from aand_edge.export.regions import default_regions
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda.missing() is not None, reason=str(cuda.missing())),
]
SIZE = 128
# Largest difference of a map value; a trunk with random weights, whose maps spread by about 0.1.
BOUNDS = {"fp32": 2e-2, "fp16": 2e-2, "int8": 0.5}  # fp32 convolutions may run in TF32


def test_what_goes_to_the_gpu_comes_back() -> None:
    device = cuda.open_cuda()
    stream, done = device.stream(), device.event()
    sent = device.pinned((1000,), np.dtype(np.float32), mapped=False)
    back = device.pinned((1000,), np.dtype(np.float32), mapped=False)
    address = device.allocate(4000)
    sent.array[...] = np.arange(1000)
    device.upload(address, sent.array, stream)
    device.download(back.array, address, stream)
    device.record(done, stream)
    device.synchronise(done)
    assert np.array_equal(back.array, sent.array)
    device.release(address)
    device.unpin(sent)
    device.unpin(back)
    device.drop(stream, done)
    device.close()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A network in three precisions, frames for it and its maps."""
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(0)
    model = Aand("resnet18", SIZE).eval()
    frames = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
    for precision in ("fp32", "fp16"):
        facts = GraphFacts("part", "resnet18", SIZE, (SIZE, SIZE), "BGR", precision, "0" * 64)
        write_graph(FusedAand(model, half=precision == "fp16"), facts, folder / f"part.{precision}.onnx")
    ranges = read_ranges(folder / "part.fp32.onnx", frames, CalibrationOptions())
    reached = {name: each.range for name, each in ranges.items()}
    int8 = quantise(onnx.load(folder / "part.fp16.onnx"), reached, default_regions("resnet18"))
    onnx.save_model(int8, str(folder / "part.int8.onnx"))
    with torch.inference_mode():
        maps, _ = FusedAand(model)(torch.from_numpy(frames))
    return {"folder": folder, "frames": frames, "maps": maps.numpy()}


@pytest.mark.parametrize("zero_copy", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_answers_as_the_module(
    graphs: dict[str, Any], tmp_path: Path, name: str, precision: Precision, zero_copy: bool
) -> None:
    backend = FACTORIES[name]()
    reason = backend.runnable()
    if reason:
        pytest.skip(reason)
    built = backend.build(graphs["folder"] / f"part.{precision}.onnx", BuildOptions(precision, zero_copy=zero_copy))
    (tmp_path / "engine").write_bytes(built.plan)
    with backend.load(tmp_path / "engine", built.options) as runner:
        assert isinstance(runner, TensorRtRunner)
        answers = [runner.infer(frame[None]).anomaly_map[0] for frame in graphs["frames"]]
        assert np.abs(np.stack(answers) - graphs["maps"]).max() < BOUNDS[precision]
        runner.submit(graphs["frames"][:1])
        runner.submit(graphs["frames"][1:2])
        assert np.allclose(runner.collect().anomaly_map[0], answers[0], atol=1e-3)
        assert np.allclose(runner.collect().anomaly_map[0], answers[1], atol=1e-3)
