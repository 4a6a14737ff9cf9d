"""On a machine with an NVIDIA GPU: CUDA's memory, and every engine that can run there against the PyTorch module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aand_edge.artifacts import Precision
from aand_edge.engines import cuda
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.registry import FACTORIES
from aand_edge.engines.tensorrt.runner import TensorRtRunner
from benchmarks.untrained import Graphs, network, noise

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
    made = Graphs(network("resnet18", SIZE), tmp_path_factory.mktemp("graphs"), noise(6, SIZE))
    return {"paths": made.write(), "frames": made.frames, "maps": made.maps()}


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
    built = backend.build(graphs["paths"][precision], BuildOptions(precision, zero_copy=zero_copy))
    (tmp_path / "engine").write_bytes(built.plan)
    with backend.load(tmp_path / "engine", built.options) as runner:
        assert isinstance(runner, TensorRtRunner)
        answers = [runner.infer(frame[None]).anomaly_map[0] for frame in graphs["frames"]]
        assert np.abs(np.stack(answers) - graphs["maps"]).max() < BOUNDS[precision]
        runner.submit(graphs["frames"][:1])
        runner.submit(graphs["frames"][1:2])
        assert np.allclose(runner.collect().anomaly_map[0], answers[0], atol=1e-3)
        assert np.allclose(runner.collect().anomaly_map[0], answers[1], atol=1e-3)
