"""A GPU's times for the fused network, beside the card's own ceiling, and TensorRT's answers beside PyTorch's.

    python -m benchmarks.gpu --name h100            # under 10 minutes; writes results/gpu-NAME.json and .md

Each backbone (random weights, 256×256) runs at batch 1, 8 and 32: PyTorch eager, torch.compile in half precision, half
precision as a CUDA graph with channels last, and TensorRT or TensorRT-RTX where one of them runs here. Times are CUDA
events around the network alone, medians; copies are timed apart. Where an engine cannot run its rows say "not measured"
and why: no number here is anyone's but the named engine's on the named card.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from aand_edge.artifacts import HoldoutSet, Precision, write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.engines.base import Backend, BuildOptions
from aand_edge.engines.registry import FACTORIES
from aand_edge.errors import AandEdgeError
from aand_edge.export.calibrate import CalibrationOptions, read_ranges
from aand_edge.export.graph import write_graph
from aand_edge.export.quantise import quantise
from aand_edge.export.regions import default_regions
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand

RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = (1, 8, 32)
WARM_UP, REPEATS = 10, 50
Row = dict[str, Any]


class Timer:
    """Median milliseconds of a call: CUDA events on a GPU, the clock on a CPU (to try the script out)."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats

    def __call__(self, work: Callable[[], object]) -> float:
        for _ in range(WARM_UP):
            work()
        return statistics.median(self._once(work) for _ in range(self.repeats))

    def _once(self, work: Callable[[], object]) -> float:
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
    side, size = (8192, 2**30) if device.type == "cuda" else (512, 2**24)
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


def torch_ways(model: Aand, frames: torch.Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """(name, one call) of each way to run the network in PyTorch."""
    device = frames.device
    whole = FusedAand(model).to(device)
    half = FusedAand(model, half=True).to(device).to(memory_format=torch.channels_last)
    yield "torch eager fp32", lambda: whole(frames)
    yield "torch eager fp16", lambda: half(frames)
    compiled = torch.compile(half)
    yield "torch.compile fp16", lambda: compiled(frames)
    if device.type == "cuda":
        yield "torch CUDA graph fp16, channels last", captured(half, frames)


def captured(module: FusedAand, frames: torch.Tensor) -> Callable[[], object]:
    """The module as one CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        for _ in range(3):
            module(frames)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        module(frames)
    return graph.replay


@torch.inference_mode()
def measure_torch(backbone: str, size: int, device: torch.device, timer: Timer, ceiling: dict[str, float]) -> list[Row]:
    """A row for each way and batch, with the share of the card's ceiling that it reaches."""
    torch.manual_seed(0)
    model = Aand(backbone, size).eval()
    rows = []
    for batch in BATCHES:
        frames = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, device=device)
        with FlopCounterMode(display=False) as counter:
            FusedAand(model).to(device)(frames)
        for name, call in torch_ways(model, frames):
            milliseconds = timer(call)
            share = counter.get_total_flops() / milliseconds / 1e9 / ceiling["tflops"]
            rows.append({"backbone": backbone, "way": name, "batch": batch, "ms": milliseconds, "ceiling_share": share})
            print(rows[-1], flush=True)
    return rows


def measure_tensorrt(backbone: str, folder: Path) -> list[Row]:
    """Each precision built, run, and held against the fp32 module's map; or why it was not measured."""
    rows: list[Row] = []
    for backend in (FACTORIES[name]() for name in ("tensorrt", "tensorrt-rtx")):
        reason = backend.runnable()
        for precision in ("fp32", "fp16", "int8"):
            row: Row = {"backbone": backbone, "way": f"{backend.name} {precision}", "batch": 1}
            try:
                found = {"not_measured": reason} if reason else run_engine(backend, folder, precision)
                rows.append(row | found)
            except AandEdgeError as error:
                rows.append(row | {"not_measured": str(error)})
            print(rows[-1], flush=True)
    return rows


def run_engine(backend: Backend, folder: Path, precision: Precision) -> Row:
    """Milliseconds of a frame, copies included, and the largest difference from the reference's map."""
    built = backend.build(folder / f"part.{precision}.onnx", BuildOptions(precision, log=folder / "build.log"))
    plan = folder / f"part.{precision}{backend.suffix}"
    plan.write_bytes(built.plan)
    reference = np.load(folder / "reference.npy")
    frames = HoldoutSet.read(folder / "part.holdout.npz").frames
    with backend.load(plan, built.options) as runner:
        error = max(
            float(np.abs(runner.infer(frame[None]).anomaly_map[0] - wanted).max())
            for frame, wanted in zip(frames, reference, strict=True)
        )
        seconds = []
        for number in range(WARM_UP + REPEATS):
            start = time.perf_counter()
            runner.infer(frames[number % len(frames)][None])
            seconds.append(time.perf_counter() - start)
        note = getattr(runner, "graph_note", "")
    milliseconds = 1000 * statistics.median(seconds[WARM_UP:])
    return {"ms_with_copies": milliseconds, "map_error": error, "executed": dict(built.executed), "note": note}


@torch.inference_mode()
def write_graphs(backbone: str, size: int, folder: Path) -> None:
    """The three graphs of a network with random weights, frames for it and the reference's maps."""
    torch.manual_seed(0)
    model = Aand(backbone, size).eval()
    frames = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    facts = {p: GraphFacts("part", backbone, size, (size, size), "BGR", p, "0" * 64) for p in ("fp32", "fp16", "int8")}
    for precision in ("fp32", "fp16"):
        write_graph(FusedAand(model, half=precision == "fp16"), facts[precision], folder / f"part.{precision}.onnx")
    import onnx

    ranges = read_ranges(folder / "part.fp32.onnx", list(frames), CalibrationOptions())
    reached = {name: each.range for name, each in ranges.items()}
    int8 = quantise(onnx.load(folder / "part.fp16.onnx"), reached, default_regions(backbone))
    del int8.metadata_props[:]
    onnx.helper.set_model_props(int8, facts["int8"].to_metadata())
    onnx.save_model(int8, str(folder / "part.int8.onnx"))
    maps, scores = FusedAand(model)(torch.from_numpy(frames))
    np.save(folder / "reference.npy", maps.numpy())
    names = tuple(f"{n}.png" for n in range(8))
    HoldoutSet(frames, scores.numpy(), names, "BGR", None, "0" * 64).write(folder / "part.holdout.npz")


def markdown(result: dict[str, Any]) -> str:
    """The tables."""
    ceiling, copies = result["ceiling"], result["transfers"]
    lines = [
        f"# {result['gpu']}",
        "",
        device_line(result["device"]),
        "",
        f"Measured ceiling: {ceiling['tflops']:.0f} TFLOP/s in half precision, {ceiling['gb_per_s']:.0f} GB/s. A frame "
        f"takes {copies['upload_ms']:.3f} ms to the GPU, a map {copies['download_ms']:.3f} ms back.",
        "",
        "| network | way | batch | ms a batch | ms a frame | share of the ceiling |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        head = f"| {row['backbone']} | {row['way']} | {row['batch']} |"
        if "ms" in row:
            share = f"{100 * row['ceiling_share']:.1f} %"
            lines.append(f"{head} {row['ms']:.3f} | {row['ms'] / row['batch']:.3f} | {share} |")
        elif "ms_with_copies" in row:
            told = f"copies included; map off by {row['map_error']:.1e} at most"
            lines.append(f"{head} {row['ms_with_copies']:.3f} | {row['ms_with_copies']:.3f} | {told} |")
        else:
            lines.append(f"{head} not measured | | {row['not_measured']} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the result files")
    parser.add_argument("--device", default="cuda", help="cuda; cpu only to try the script out")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--backbones", nargs="+", default=["resnet18", "wide_resnet50_2"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    device = torch.device(options.device)
    timer = Timer(device, options.repeats)
    ceiling = ceilings(device, timer)
    rows: list[Row] = []
    for backbone in options.backbones:
        rows += measure_torch(backbone, options.size, device, timer, ceiling)
        with tempfile.TemporaryDirectory() as folder:
            write_graphs(backbone, options.size, Path(folder))
            rows += measure_tensorrt(backbone, Path(folder))
    result = {
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, to try the script out",
        "device": describe_device(),
        "ceiling": ceiling,
        "transfers": transfers(device, timer, options.size),
        "rows": rows,
    }
    write_json(options.out / f"gpu-{options.name}.json", result)
    write_text(options.out / f"gpu-{options.name}.md", markdown(result))


if __name__ == "__main__":
    main()
