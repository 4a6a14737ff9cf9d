"""A GPU's times for the fused network, beside the card's own ceiling, and TensorRT's answers beside PyTorch's.

    python -m benchmarks.gpu --name h100            # under 10 minutes; writes results/gpu-NAME.json and .md

Each backbone (random weights, 256×256) runs at batch 1, 8 and 32: PyTorch eager, half precision as a CUDA graph with
channels last, torch.compile in half precision, and TensorRT or TensorRT-RTX where one of them runs here, an engine for
each batch. PyTorch's times are CUDA events around the network alone, medians, and copies are timed apart; an engine's
are its user's, copies included. Where a way cannot run its rows say "not measured" and why: no number here is anyone's
but the named engine's on the named card.

`--minutes` is the limit of all parts together. Each takes its share of what is left, and says how much that is when it
begins; once a part is over nothing new begins in it, and what had begun is brought to its end. What is done is written
after each part, so that a call that is cut off leaves what it measured.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from aand_edge.bench.device import describe_device, device_line
from benchmarks import RESULTS
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.engines import measure_engines, versions
from benchmarks.gpu.torch_ways import Timer, ceilings, measure_torch, transfers
from benchmarks.report import as_program, parser_of, save_report
from benchmarks.untrained import Graphs, network, noise

BATCHES = (1, 8, 32)
CALIBRATED_ON = 8  # frames, which engines are judged on too
SHARES = {"ceiling": 0.05, "PyTorch": 1.0, "engines": 2.0}  # of the time: an engine is exported and built first


def main() -> None:
    """Parse the command line, measure, write."""
    parser = parser_of("benchmarks.gpu", __doc__)
    parser.add_argument("--name", required=True, help="of the result files")
    parser.add_argument("--device", default="cuda", help="cuda; cpu only to try the script out")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="the first is 1")
    parser.add_argument("--backbones", nargs="+", default=["resnet18", "wide_resnet50_2"])
    parser.add_argument("--minutes", type=float, default=8, help="limit of all parts; the last build may run over it")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    if options.batches[0] != 1:
        parser.error("--batches must begin with 1: engines of more frames take its ranges")
    for result in measure(options):
        save_report(options.out / f"gpu-{options.name}", result, text := markdown(result))
    print(text)


def measure(options: Namespace) -> Iterator[dict[str, Any]]:
    """All that is known after each part, as plain values."""
    device, batches = torch.device(options.device), tuple(options.batches)
    timer = Timer(device, options.repeats)
    parts = {f"{name}, {way}": SHARES[way] for name in options.backbones for way in ("PyTorch", "engines")}
    budget = Budget(60 * options.minutes, {"ceiling": SHARES["ceiling"], **parts})
    result: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, to try the script out",
        "device": describe_device(),
        "software": {"CUDA of PyTorch": str(torch.version.cuda), **versions()},
        "parts": budget.told,
        "rows": [],
    }
    with budget.part("ceiling"):
        result |= {"ceiling": ceilings(device, timer), "transfers": transfers(device, timer, options.size)}
    yield result
    for backbone in options.backbones:
        model = network(backbone, options.size)
        with budget.part(f"{backbone}, PyTorch") as part:
            result["rows"] += measure_torch(model, batches, timer, result["ceiling"], part)
        yield result
        with budget.part(f"{backbone}, engines") as part, tempfile.TemporaryDirectory() as folder:
            graphs = Graphs(model, Path(folder), noise(CALIBRATED_ON, options.size))
            result["rows"] += measure_engines(graphs, batches, options.repeats, part)
        yield result


def markdown(result: dict[str, Any]) -> str:
    """The tables."""
    ceiling, copies = result["ceiling"], result["transfers"]
    software = ", ".join(f"{name} {version}" for name, version in result["software"].items())
    lines = [
        f"# {result['gpu']}",
        "",
        f"{device_line(result['device'])} · {software}",
        "",
        f"Measured ceiling: {ceiling['tflops']:.0f} TFLOP/s in half precision, {ceiling['gb_per_s']:.0f} GB/s. A frame "
        f"takes {copies['upload_ms']:.3f} ms to the GPU, a map {copies['download_ms']:.3f} ms back.",
        "",
        "| network | way | batch | ms a batch | ms a frame | share of the ceiling |",
        "|---|---|---|---|---|---|",
        *(_line(row) for row in result["rows"]),
        "",
        "Seconds, and the limit of each part: "
        + "; ".join(f"{each['part']} {each['took_s']:.0f} of {each['limit_s']:.0f}" for each in result["parts"])
        + ".",
    ]
    return "\n".join([*lines, ""])


def _line(row: dict[str, Any]) -> str:
    head = f"| {row['backbone']} | {row['way']} | {row['batch']} |"
    if "ms" in row:
        return f"{head} {row['ms']:.3f} | {row['ms'] / row['batch']:.3f} | {100 * row['ceiling_share']:.1f} % |"
    if "ms_with_copies" in row:
        told = f"copies included; map off by {row['map_error']:.1e} at most"
        return f"{head} {row['ms_with_copies']:.3f} | {row['ms_with_copies'] / row['batch']:.3f} | {told} |"
    return f"{head} not measured | | {row['not_measured']} |"


if __name__ == "__main__":
    as_program(main)
