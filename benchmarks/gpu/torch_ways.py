"""PyTorch's ways to run the fused network, and what the card reaches at all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand
from benchmarks.gpu.budget import Part
from benchmarks.untrained import noise

WARM_UP = 10
Row = dict[str, Any]
Call = Callable[[], object]


class Timer:
    """Median milliseconds of a call: CUDA events on a GPU, the clock on a CPU (to try the script out)."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats

    def __call__(self, work: Call) -> float:
        for _ in range(WARM_UP):
            work()
        return statistics.median(self._once(work) for _ in range(self.repeats))

    def _once(self, work: Call) -> float:
        if self.device.type != "cuda":
            start = time.perf_counter()
            work()
            return 1000 * (time.perf_counter() - start)
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        work()
        after.record()
        after.synchronize()
        return float(before.elapsed_time(after))


def ceilings(device: torch.device, timer: Timer) -> dict[str, float]:
    """What this card reaches: TFLOP/s of a large half-precision product, GB/s of a large copy."""
    side, size = (8192, 2**30) if device.type == "cuda" else (256, 2**22)
    a, b = (torch.randn(side, side, device=device, dtype=torch.float16) for _ in range(2))
    source = torch.empty(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    product, copy = timer(lambda: a @ b), timer(lambda: target.copy_(source))
    return {"tflops": 2 * side**3 / product / 1e9, "gb_per_s": 2 * size / copy / 1e6}


def transfers(device: torch.device, timer: Timer, size: int) -> Row:
    """Milliseconds to bring a frame to the GPU and its map back, from pinned memory."""
    on_gpu = device.type == "cuda"
    frame = torch.zeros(1, size, size, 3, dtype=torch.uint8, pin_memory=on_gpu)
    answer = torch.zeros(1, size, size, dtype=torch.float32, pin_memory=on_gpu)
    there, back = frame.to(device), answer.to(device)
    return {
        "upload_ms": timer(lambda: there.copy_(frame, non_blocking=True)),
        "download_ms": timer(lambda: answer.copy_(back, non_blocking=True)),
    }


@torch.inference_mode()
def measure_torch(
    model: Aand, batches: tuple[int, ...], timer: Timer, ceiling: dict[str, float], part: Part
) -> Iterator[Row]:
    """A row for each batch and way, with the share of the card's ceiling that it reaches, or why there is none."""
    for batch in batches:
        frames = torch.from_numpy(noise(batch, model.size)).to(timer.device)
        with FlopCounterMode(display=False) as counter:
            FusedAand(model).to(timer.device)(frames)
        for name, prepare in ways(model, frames):
            row: Row = {"backbone": model.backbone.name, "way": name, "batch": batch}
            try:
                row |= {"not_measured": reason} if (reason := part.over()) else {"ms": timer(prepare())}
            except RuntimeError as error:  # no memory left, or no compiler for torch.compile: the others go on
                row["not_measured"] = str(error).strip().partition("\n")[0] or type(error).__name__
            if "ms" in row:
                row["ceiling_share"] = counter.get_total_flops() / row["ms"] / 1e9 / ceiling["tflops"]
            print(row, flush=True)
            yield row


def ways(model: Aand, frames: torch.Tensor) -> Iterator[tuple[str, Callable[[], Call]]]:
    """(name, what makes one call ready) of each way to run the network in PyTorch, the slowest to prepare last."""
    device = frames.device
    whole = FusedAand(model).to(device)
    half = FusedAand(model, half=True).to(device).to(memory_format=torch.channels_last)
    yield "torch eager fp32", lambda: lambda: whole(frames)
    yield "torch eager fp16", lambda: lambda: half(frames)
    if device.type == "cuda":
        yield "torch CUDA graph fp16, channels last", lambda: captured(half, frames)
    yield "torch.compile fp16", lambda: compiled(half, frames)


def compiled(module: FusedAand, frames: torch.Tensor) -> Call:
    """The module compiled for this batch alone: shapes that are left open would cost it speed."""
    made = torch.compile(module, dynamic=False)
    return lambda: made(frames)


def captured(module: FusedAand, frames: torch.Tensor) -> Call:
    """The module as one CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            module(frames)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        module(frames)
    return graph.replay
