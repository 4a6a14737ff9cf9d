"""The little of CUDA that a runner needs, over cuda-python or pycuda, whichever is installed.

Handles (streams, events, graphs) and device addresses are plain integers or opaque objects that are handed back to the
module they came from. Every failure is an AandEdgeError that names the call and CUDA's own words.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aand_edge.engines.packages import found
from aand_edge.errors import AandEdgeError, MissingDependencyError

NO_GPU = ("driver version is insufficient", "no cuda-capable device", "no device", "failed to dlopen")
OUT_OF_MEMORY = ("out of memory", "memory allocation")


@dataclass(frozen=True)
class Gpu:
    """compute_capability as "8.7"; memory in bytes, free and in all."""

    name: str
    compute_capability: str
    free: int
    total: int


@dataclass(frozen=True)
class HostBuffer:
    """Pinned memory of the host, and where the device sees it (0 where it is not mapped)."""

    array: NDArray[Any]
    address: int
    owner: Any


@dataclass(frozen=True)
class CapturedGraph:
    """A CUDA graph, ready to be launched on the stream that it was captured from."""

    launch: Callable[[], None]
    release: Callable[[], None]


class Cuda(Protocol):
    """One device, used from one thread. Every call raises AandEdgeError where CUDA fails, see `explained`."""

    def gpu(self) -> Gpu:
        """What the device is, and its memory at this moment."""
        ...

    def allocate(self, size: int) -> int:
        """The device address of `size` bytes."""
        ...

    def release(self, address: int) -> None:
        """Free what `allocate` gave."""
        ...

    def pinned(self, shape: tuple[int, ...], kind: np.dtype[Any], mapped: bool) -> HostBuffer:
        """Page-locked host memory for an array of that shape; `mapped`: the device reads and writes it in place."""
        ...

    def unpin(self, buffer: HostBuffer) -> None:
        """Free what `pinned` gave; its array must no longer be used."""
        ...

    def stream(self) -> Any:
        """A stream, on which what is enqueued is done in its order."""
        ...

    def handle(self, stream: Any) -> int:
        """A stream as TensorRT takes it."""
        ...

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        """Enqueue a copy of a pinned array, all its bytes, to a device address."""
        ...

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        """Enqueue a copy from a device address into a pinned array, as many bytes as it has."""
        ...

    def event(self) -> Any:
        """An event, which takes no times."""
        ...

    def record(self, event: Any, stream: Any) -> None:
        """`event` has happened when all that is on `stream` by now is done."""
        ...

    def wait(self, stream: Any, event: Any) -> None:
        """What is enqueued on `stream` from here on waits for `event`."""
        ...

    def synchronise(self, event: Any) -> None:
        """The caller waits for `event`."""
        ...

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> CapturedGraph:
        """What `enqueue` puts on the stream, as a graph. Raises AandEdgeError where that cannot be."""
        ...

    def drop(self, *things: Any) -> None:
        """Let go of streams and events."""
        ...

    def close(self) -> None:
        """Let go of the device, when all that was allocated on it is freed."""
        ...


def open_cuda() -> Cuda:
    """The first GPU. Raises MissingDependencyError where there is no binding, no driver or no GPU."""
    reason = missing()
    if reason:
        raise MissingDependencyError(reason, "See `aand-edge doctor`.")
    return CudaPython() if _has_cuda_python() else PyCuda()


def missing() -> str | None:
    """Why no GPU can be used here, or None."""
    if not (_has_cuda_python() or found("pycuda")):
        return "neither cuda-python nor pycuda is installed (pip install 'aand-edge[tensorrt]')"
    try:
        cuda = CudaPython() if _has_cuda_python() else PyCuda()
    except (AandEdgeError, ImportError) as error:
        return str(error)
    cuda.close()
    return None


def _has_cuda_python() -> bool:
    return found("cuda.bindings.runtime")


class CudaPython:
    """Over cuda-python's `cuda.bindings.runtime`, whose calls answer (error, value, …)."""

    def __init__(self) -> None:
        from cuda.bindings import runtime

        self._rt = runtime
        if not self._call("cudaGetDeviceCount"):
            raise MissingDependencyError("CUDA finds no GPU", "Check `nvidia-smi`.")
        self._call("cudaSetDevice", 0)

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            error, *values = getattr(self._rt, name)(*arguments)
        except RuntimeError as failure:  # cuda-python 12 raises where it finds no libcuda.so
            raise explained(name, str(failure)) from None
        if int(error):
            raise explained(name, self._words(error))
        return values[0] if len(values) == 1 else tuple(values)

    def _words(self, error: Any) -> str:
        _, text = self._rt.cudaGetErrorString(error)
        return str(text.decode() if isinstance(text, bytes) else text)

    def gpu(self) -> Gpu:
        facts = self._call("cudaGetDeviceProperties", 0)
        free, total = self._call("cudaMemGetInfo")
        name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
        return Gpu(name.strip("\0"), f"{facts.major}.{facts.minor}", int(free), int(total))

    def allocate(self, size: int) -> int:
        return int(self._call("cudaMalloc", size))

    def release(self, address: int) -> None:
        self._call("cudaFree", address)

    def pinned(self, shape: tuple[int, ...], kind: np.dtype[Any], mapped: bool) -> HostBuffer:
        size = int(np.prod(shape)) * kind.itemsize
        flags = self._rt.cudaHostAllocMapped if mapped else self._rt.cudaHostAllocDefault
        pointer = int(self._call("cudaHostAlloc", size, flags))
        address = int(self._call("cudaHostGetDevicePointer", pointer, 0)) if mapped else 0
        return HostBuffer(_view(pointer, shape, kind), address, pointer)

    def unpin(self, buffer: HostBuffer) -> None:
        self._call("cudaFreeHost", buffer.owner)

    def stream(self) -> Any:
        return self._call("cudaStreamCreateWithFlags", self._rt.cudaStreamNonBlocking)

    def handle(self, stream: Any) -> int:
        return int(stream)

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, address, target.nbytes, kind, stream)

    def event(self) -> Any:
        return self._call("cudaEventCreateWithFlags", self._rt.cudaEventDisableTiming)

    def record(self, event: Any, stream: Any) -> None:
        self._call("cudaEventRecord", event, stream)

    def wait(self, stream: Any, event: Any) -> None:
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def synchronise(self, event: Any) -> None:
        self._call("cudaEventSynchronize", event)

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> CapturedGraph:
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            enqueue()
        finally:
            graph = self._call("cudaStreamEndCapture", stream)
        try:
            executable = self._call("cudaGraphInstantiate", graph, 0)
        finally:
            self._call("cudaGraphDestroy", graph)
        return CapturedGraph(
            lambda: self._call("cudaGraphLaunch", executable, stream),
            lambda: self._call("cudaGraphExecDestroy", executable),
        )

    def drop(self, *things: Any) -> None:
        for thing in things:
            kind = "Stream" if isinstance(thing, self._rt.cudaStream_t) else "Event"
            self._call(f"cuda{kind}Destroy", thing)

    def close(self) -> None:
        """The primary context belongs to the process."""


class PyCuda:
    """Over pycuda, in the device's primary context, which other libraries of the process share."""

    def __init__(self) -> None:
        import pycuda.driver as driver

        self._driver = driver
        try:
            driver.init()
            if not driver.Device.count():
                raise MissingDependencyError("CUDA finds no GPU", "Check `nvidia-smi`.")
            self._device = driver.Device(0)
            self._context = self._device.retain_primary_context()
            self._context.push()
        except driver.Error as error:
            raise explained("cuInit", str(error)) from None
        self._owners: dict[int, Any] = {}

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._driver.Error as error:
            raise explained(name, str(error)) from None

    def gpu(self) -> Gpu:
        free, total = self._call("mem_get_info", self._driver.mem_get_info)
        major, minor = self._call("compute_capability", self._device.compute_capability)
        return Gpu(self._call("Device.name", self._device.name), f"{major}.{minor}", int(free), int(total))

    def allocate(self, size: int) -> int:
        owner = self._call("mem_alloc", self._driver.mem_alloc, size)
        self._owners[int(owner)] = owner
        return int(owner)

    def release(self, address: int) -> None:
        self._call("mem_free", self._owners.pop(address).free)

    def pinned(self, shape: tuple[int, ...], kind: np.dtype[Any], mapped: bool) -> HostBuffer:
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        array = self._call("pagelocked_empty", self._driver.pagelocked_empty, shape, kind, "C", flags)
        address = int(self._call("get_device_pointer", array.base.get_device_pointer)) if mapped else 0
        return HostBuffer(array, address, array.base)

    def unpin(self, buffer: HostBuffer) -> None:
        self._call("host_free", buffer.owner.free)

    def stream(self) -> Any:
        return self._call("Stream", self._driver.Stream)

    def handle(self, stream: Any) -> int:
        return int(stream.handle)

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        self._call("memcpy_htod_async", self._driver.memcpy_htod_async, address, source, stream)

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        self._call("memcpy_dtoh_async", self._driver.memcpy_dtoh_async, target, address, stream)

    def event(self) -> Any:
        return self._call("Event", self._driver.Event, self._driver.event_flags.DISABLE_TIMING)

    def record(self, event: Any, stream: Any) -> None:
        self._call("Event.record", event.record, stream)

    def wait(self, stream: Any, event: Any) -> None:
        self._call("Stream.wait_for_event", stream.wait_for_event, event)

    def synchronise(self, event: Any) -> None:
        self._call("Event.synchronize", event.synchronize)

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> CapturedGraph:
        raise AandEdgeError("pycuda does not capture CUDA graphs", "Install cuda-python for it.")

    def drop(self, *things: Any) -> None:
        """pycuda lets go of a stream or an event when nothing refers to it any more."""

    def close(self) -> None:
        try:
            self._call("Context.pop", self._context.pop)
        finally:
            self._call("Context.detach", self._context.detach)


def explained(call: str, words: str) -> AandEdgeError:
    """CUDA's failure as ours: no driver, no GPU and too little memory are told apart from the rest."""
    plain = words.lower().replace("cuda_error_", "").replace("_", " ")
    if any(sign in plain for sign in NO_GPU):
        return MissingDependencyError(f"There is no NVIDIA driver or GPU here ({words})", "Check `nvidia-smi`.")
    if any(sign in plain for sign in OUT_OF_MEMORY):
        return AandEdgeError(
            f"The GPU is out of memory ({call})", "End what else runs on it, or take a smaller --size or --batch."
        )
    return AandEdgeError(f"CUDA failed in {call}: {words}", "Start again; if it stays, check `dmesg` for Xid errors.")


def _view(pointer: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    size = int(np.prod(shape)) * kind.itemsize
    memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(pointer))
    array: NDArray[Any] = memory.view(kind).reshape(shape)
    return array
