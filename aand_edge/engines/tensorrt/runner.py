"""A loaded engine on a GPU: static buffers, one thread that owns CUDA, two slots.

    slot:  frames → pinned host ─ copy stream → device ─┤ wait ├─ compute stream: engine ─ copy → pinned host → Outputs

`infer`, which all commands call, has one batch under way at a time. Whoever calls `submit` and `collect` may have two:
while the engine computes one from its slot, the next is copied into the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from aand_edge.engines.base import Frames, Outputs, Runner, check_frames
from aand_edge.engines.cuda import CapturedGraph, Cuda, HostBuffer
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, UsageError

SLOTS = 2
NAMES = {"image": np.uint8, "anomaly_map": np.float32, "score": np.float32}

T = TypeVar("T")


@dataclass
class Slot:
    """The buffers of one frame (or batch) under way."""

    host: dict[str, HostBuffer] = field(default_factory=dict)
    device: dict[str, int] = field(default_factory=dict)
    uploaded: Any = None
    done: Any = None
    graph: CapturedGraph | None = None


class TensorRtRunner(Runner):
    """See `base.Runner`; besides, `submit` and `collect` may keep two batches under way.

    graph_note   a sentence why no CUDA graph is used, "" where one is
    """

    def __init__(self, open_cuda: Callable[[], Cuda], load: Callable[[], Any], zero_copy: bool = False) -> None:
        """`load` deserialises the engine, in the thread that owns CUDA. Raises what opening and allocating raise."""
        self._zero_copy = zero_copy
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix="aand-edge-cuda")
        self._slots: list[Slot] = []
        self._streams: list[Any] = []
        self._copying: Any = None
        self._computing: Any = None
        self._under_way: deque[Future[Slot]] = deque()
        self._submitted = 0
        self._cuda: Cuda | None = None
        self._context: Any = None
        self.graph_note = "no frame has been run yet"
        try:
            self._in_thread(lambda: self._open(open_cuda, load))
        except BaseException:
            self.close()
            raise

    def infer(self, frames: Frames) -> Outputs:
        """See `base.Runner`. Raises UsageError for other frames, AandEdgeError where the GPU fails."""
        if self._under_way:  # collect would answer with the older frame
            raise UsageError("A frame that was submitted is under way", "Collect it before another is inferred.")
        self.submit(frames)
        return self.collect()

    def submit(self, frames: Frames) -> None:
        """Start a batch. Raises UsageError where two are under way already."""
        thread = self._alive()
        check_frames(frames, self._shapes["image"])
        if len(self._under_way) == SLOTS:
            raise UsageError(f"{SLOTS} frames are under way", "Collect one before the next is submitted.")
        slot = self._slots[self._submitted % SLOTS]
        np.copyto(slot.host["image"].array, frames)  # the slot was collected, so nobody reads its buffers
        self._submitted += 1
        self._under_way.append(thread.submit(self._enqueue, slot))

    def collect(self) -> Outputs:
        """Wait for the oldest batch that was submitted."""
        self._alive()
        if not self._under_way:
            raise UsageError("No frame is under way", "Submit one first.")
        slot = self._under_way.popleft().result()
        self._in_thread(lambda: self._opened().synchronise(slot.done))
        return Outputs(slot.host["anomaly_map"].array.copy(), slot.host["score"].array.copy())

    def close(self) -> None:
        """Free everything; what is under way is waited for."""
        if self._thread is None:
            return
        self._under_way.clear()
        with suppress(AandEdgeError):
            self._in_thread(self._release)
        self._thread.shutdown()
        self._thread = None

    def _alive(self) -> ThreadPoolExecutor:
        if self._thread is None:
            raise AandEdgeError("The engine is closed", "Load it again.")
        return self._thread

    def _in_thread(self, work: Callable[[], T]) -> T:
        return self._alive().submit(work).result()

    def _opened(self) -> Cuda:
        if self._cuda is None:
            raise AandEdgeError("The engine is closed", "Load it again.")
        return self._cuda

    # What follows runs in the thread that owns CUDA.

    def _open(self, open_cuda: Callable[[], Cuda], load: Callable[[], Any]) -> None:
        self._cuda = cuda = open_cuda()
        self._engine = load()
        self._shapes = {name: tuple(self._engine.get_tensor_shape(name)) for name in tensor_names(self._engine)}
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise AandEdgeError(
                "TensorRT cannot make an execution context, most often for want of GPU memory",
                "End what else runs on the GPU, or take a smaller --size or --batch.",
            )
        for _ in range(2):
            self._streams.append(cuda.stream())  # one at a time: what was opened is closed when the next one fails
        self._copying, self._computing = self._streams
        for _ in range(SLOTS):
            self._slots.append(Slot())
            self._allocate(cuda, self._slots[-1])

    def _allocate(self, cuda: Cuda, slot: Slot) -> None:
        for name, shape in self._shapes.items():
            kind = np.dtype(NAMES[name])
            slot.host[name] = cuda.pinned(shape, kind, self._zero_copy)
            if not self._zero_copy:
                slot.device[name] = cuda.allocate(int(np.prod(shape)) * kind.itemsize)
        slot.uploaded = cuda.event()
        slot.done = cuda.event()

    def _enqueue(self, slot: Slot) -> Slot:
        cuda = self._opened()
        if not self._zero_copy:
            cuda.upload(slot.device["image"], slot.host["image"].array, self._copying)
            cuda.record(slot.uploaded, self._copying)
            cuda.wait(self._computing, slot.uploaded)
        if slot.graph is not None:
            slot.graph.launch()
        else:
            self._execute(slot)
            self._capture(slot)
        cuda.record(slot.done, self._computing)
        return slot

    def _execute(self, slot: Slot) -> None:
        """The engine and the copies of its answers, onto the compute stream."""
        cuda = self._opened()
        for name in self._shapes:
            address = slot.host[name].address if self._zero_copy else slot.device[name]
            self._context.set_tensor_address(name, address)
        if not self._context.execute_async_v3(cuda.handle(self._computing)):
            raise AandEdgeError("TensorRT could not run the engine", "Load it again; if it stays, build it again.")
        if not self._zero_copy:
            for name in ("anomaly_map", "score"):
                cuda.download(slot.host[name].array, slot.device[name], self._computing)

    def _capture(self, slot: Slot) -> None:
        """After its first frame, which warmed it up, a slot's work becomes a CUDA graph where that is possible."""
        if self.graph_note not in ("", "no frame has been run yet"):
            return
        cuda = self._opened()
        cuda.record(slot.done, self._computing)
        cuda.synchronise(slot.done)  # nothing may be under way on the stream that is captured
        try:
            slot.graph = cuda.capture(self._computing, lambda: self._execute(slot))
            self.graph_note = ""
        except AandEdgeError as error:
            self.graph_note = f"no CUDA graph is used: {error.message}"

    def _release(self) -> None:
        cuda, self._cuda = self._cuda, None
        if cuda is None:
            return
        _try_each(partial(cuda.synchronise, slot.done) for slot in self._slots if slot.done is not None)
        self._context = self._engine = None
        frees: list[Callable[[], None]] = []
        for slot in self._slots:
            frees += [slot.graph.release] if slot.graph else []
            frees += [partial(cuda.release, address) for address in slot.device.values()]
            frees += [partial(cuda.unpin, buffer) for buffer in slot.host.values()]
            frees += [partial(cuda.drop, each) for each in (slot.uploaded, slot.done) if each is not None]
        frees += [partial(cuda.drop, stream) for stream in self._streams]
        _try_each(frees)
        # pycuda frees an object with the last reference to it, which must happen while its context is current.
        frees.clear()
        self._slots.clear()
        self._streams.clear()
        self._copying = self._computing = None
        _try_each([cuda.close])


def _try_each(calls: Iterable[Callable[[], None]]) -> None:
    """A lost context fails every call; each is tried all the same."""
    for call in calls:
        with suppress(AandEdgeError):
            call()


def tensor_names(engine: Any) -> list[str]:
    """The names of inputs and outputs. Raises ArtefactMismatchError where they are not a fused graph's."""
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    if set(names) != set(NAMES):
        raise ArtefactMismatchError(
            f"The engine has the tensors {', '.join(names)}, a fused AAND graph has {', '.join(NAMES)}",
            "Build it from a graph of `aand-edge export`.",
        )
    return names
