"""A TensorRT and a CUDA that compute the tiny graph of `graphs.py` on the host, with faults on demand.

The fake TensorRT has exactly the names of a real release (`tensorrt_api/*.json`): a name that our code mistypes, or
that one of the releases lacks, is an AttributeError here as it would be there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.engines.cuda import CapturedGraph, Gpu, HostBuffer, explained
from aand_edge.errors import AandEdgeError

API = Path(__file__).parent / "tensorrt_api"
RELEASES = ("10.3", "10.16", "11.4")
Memory = dict[int, NDArray[Any]]


class Named:
    """An object of a TensorRT class: it has the class's real names and no other, and remembers what was called."""

    def __init__(self, names: list[str], calls: list[str], **behaviour: Any) -> None:
        self.__dict__.update(_names=set(names), _calls=calls, _behaviour=behaviour)
        unknown = set(behaviour) - set(names)
        assert not unknown, f"no release has {unknown}"

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(name)
        self._calls.append(name)
        return self._behaviour.get(name, lambda *_: True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._names:
            raise AttributeError(name)
        self._calls.append(f"{name}={value}")
        self._behaviour[name] = value


class FakeTrt:
    """The module `tensorrt` of one release.

    parses, builds_strongly, builds   whether these steps succeed
    layers                            what the inspector tells of
    """

    def __init__(self, release: str, memory: Memory | None = None, shape: tuple[int, int, int] = (1, 32, 32)) -> None:
        self.api: dict[str, Any] = json.loads((API / f"{release}.json").read_text())
        self.__version__ = str(self.api["version"])
        self.memory = {} if memory is None else memory
        self.shapes = {"image": (*shape, 3), "anomaly_map": shape, "score": shape[:1]}
        self.calls: list[str] = []
        self.parses = self.builds_strongly = self.builds = True
        self.deserialises = self.makes_contexts = True
        self.enqueues: Callable[[], bool] = lambda: True
        self.layers = [{"Outputs": [{"Format/Datatype": "Row major linear FP32 format"}]}]
        for name, found in self.api.items():
            if isinstance(found, dict):
                setattr(self, name, SimpleNamespace(__members__=found, **found))
        self.ILogger = type("ILogger", (), {"Severity": SimpleNamespace(ERROR=1, INTERNAL_ERROR=0)})

    def _named(self, kind: str, **behaviour: Any) -> Any:
        return Named(self.api[kind], self.calls, **behaviour)

    def Builder(self, logger: Any) -> Any:  # noqa: N802  (TensorRT's own name)
        def build(network: Any, config: Any) -> bytes | None:
            if not self.builds or (network.strong and not self.builds_strongly):
                logger.log(1, "no implementation for node conv1")
                return None
            return b"plan"

        strongly = 1 << self.api["NetworkDefinitionCreationFlag"]["STRONGLY_TYPED"]
        return self._named(
            "Builder",
            create_network=lambda flags: SimpleNamespace(strong=flags == strongly),
            create_builder_config=self._config,
            build_serialized_network=build,
        )

    def _config(self) -> Any:
        cache = self._named("ITimingCache", serialize=lambda: b"timings")
        return self._named("IBuilderConfig", create_timing_cache=lambda data: cache, get_timing_cache=lambda: cache)

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        error = self._named("ParserError", desc=lambda: "unsupported op Erf", node_name=lambda: "node_erf")
        return self._named("OnnxParser", parse=lambda data: self.parses, num_errors=1, get_error=lambda n: error)

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        def deserialise(data: bytes) -> Any:
            if not self.deserialises:
                logger.log(1, "magic tag does not match")
                return None
            return self.engine()

        return self._named("Runtime", deserialize_cuda_engine=deserialise)

    def engine(self) -> Any:
        names = list(self.shapes)
        inspector = self._named(
            "EngineInspector", get_engine_information=lambda form: json.dumps({"Layers": self.layers})
        )
        return self._named(
            "ICudaEngine",
            num_io_tensors=len(names),
            get_tensor_name=names.__getitem__,
            get_tensor_shape=self.shapes.__getitem__,
            create_execution_context=lambda: self._context() if self.makes_contexts else None,
            create_engine_inspector=lambda: inspector,
        )

    def _context(self) -> Any:
        addresses: dict[str, int] = {}

        def execute(stream: int) -> bool:
            if not self.enqueues():
                return False
            run_tiny(*(self.memory[addresses[name]] for name in ("image", "anomaly_map", "score")))
            return True

        return self._named("IExecutionContext", set_tensor_address=addresses.__setitem__, execute_async_v3=execute)


def run_tiny(image: NDArray[Any], anomaly_map: NDArray[Any], score: NDArray[Any]) -> None:
    """The tiny graph: mean of the channels / 255, and its maximum."""
    maps = image.view(np.uint8).reshape(*anomaly_map.view(np.float32).shape, -1)
    answer = maps.reshape(score.view(np.float32).size, -1, 3).mean(axis=2, dtype=np.float32) / 255
    anomaly_map.view(np.float32)[...] = answer.reshape(-1)
    score.view(np.float32)[...] = answer.max(axis=1)


class FakeCuda:
    """CUDA on the host: device memory is numpy arrays, streams run at once. `fail` names a call and when it fails."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.fail: dict[str, tuple[int, str]] = {}  # call → (after so many good ones, CUDA's words)
        self.counts: dict[str, int] = {}
        self.alive: set[str] = set()
        self.captures = True
        self.closed = False

    def _call(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        after, words = self.fail.get(name, (10**9, ""))
        if self.counts[name] > after:
            raise explained(name, words)

    def _new(self, kind: str) -> str:
        self._call(kind)
        thing = f"{kind}{self.counts[kind]}"
        self.alive.add(thing)
        return thing

    def gpu(self) -> Gpu:
        return Gpu("Fake GPU", "8.7", 2**30, 2**32)

    def allocate(self, size: int) -> int:
        self._call("allocate")
        address = 1000 + self.counts["allocate"]
        self.memory[address] = np.zeros(size, np.uint8)
        self.alive.add(f"device{address}")
        return address

    def release(self, address: int) -> None:
        self.alive.remove(f"device{address}")
        self._call("release")

    def pinned(self, shape: tuple[int, ...], kind: np.dtype[Any], mapped: bool) -> HostBuffer:
        name = self._new("pinned")
        array = np.zeros(shape, kind)
        address = 5000 + self.counts["pinned"] if mapped else 0
        if mapped:
            self.memory[address] = array.reshape(-1).view(np.uint8)
        return HostBuffer(array, address, name)

    def unpin(self, buffer: HostBuffer) -> None:
        self.alive.remove(buffer.owner)
        self._call("unpin")

    def stream(self) -> Any:
        return self._new("stream")

    def handle(self, stream: Any) -> int:
        return int(str(stream).removeprefix("stream"))

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        self._call("upload")
        self.memory[address][...] = source.reshape(-1).view(np.uint8)

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        self._call("download")
        target.reshape(-1).view(np.uint8)[...] = self.memory[address]

    def event(self) -> Any:
        return self._new("event")

    def record(self, event: Any, stream: Any) -> None:
        self._call("record")

    def wait(self, stream: Any, event: Any) -> None:
        self._call("wait")

    def synchronise(self, event: Any) -> None:
        self._call("synchronise")

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> CapturedGraph:
        if not self.captures:
            raise AandEdgeError("CUDA failed in cudaStreamBeginCapture: operation not permitted", "")
        name = self._new("graph")
        return CapturedGraph(enqueue, lambda: self.alive.remove(name))

    def drop(self, *things: Any) -> None:
        self.alive.difference_update(things)
        self._call("drop")

    def close(self) -> None:
        self.closed = True
