"""Settings of OpenVINO, and a graph whose gate and generator share a convolution, beside what the backend takes.

    python -m benchmarks.openvino_ways                       # wide_resnet50_2, random weights, all three precisions

Each way is compiled from the same graph and times whole calls in turns with the others of its precision. What is asked
of OpenVINO besides is left as `engines/openvino.py` has it. Writes results/openvino-ways.json and .md.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino
import torch
from torch import Tensor, nn

from aand_edge.artifacts import Precision
from aand_edge.bench.device import describe_device
from aand_edge.bench.latency import measure_in_turn
from aand_edge.engines.openvino import OpenVinoRunner, settings_for
from aand_edge.engines.openvino_layers import read_marked
from aand_edge.export.graph import write_graph
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.choices import BACKBONES
from aand_edge.model.fused import FusedAand, FusedAmplifier
from benchmarks.report import add_out, as_program, heading, parser_of, write_report
from benchmarks.untrained import PRECISIONS, Frames, Graphs, network, noise

TAKEN = "as the backend has it"
SHARED = "gate and generator share their first convolution"
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    TAKEN: {},
    "taken again: what the noise is": {},
    "PERFORMANCE_HINT THROUGHPUT, one stream": {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": 1},
    "no ENABLE_HYPER_THREADING": {"ENABLE_HYPER_THREADING": False},
    "no ENABLE_CPU_PINNING": {"ENABLE_CPU_PINNING": False},
    "CPU_DENORMALS_OPTIMIZATION": {"CPU_DENORMALS_OPTIMIZATION": True},
}
SHARED_IN = ("fp32", "fp16")  # int8 quantises gate and generator by the names of their own convolutions


class SharedFirst(nn.Module):
    """RAA as `FusedAmplifier`, with the first 1×1 convolutions of gate and generator as one of twice the channels."""

    def __init__(self, fused: FusedAmplifier) -> None:
        super().__init__()
        own, *rest = fused.generator
        assert isinstance(own, nn.Conv2d)
        assert own.bias is not None
        gate = fused.gate.first
        self.hidden = gate.out_channels
        self.first = nn.Conv2d(gate.in_channels, self.hidden + own.out_channels, 1)
        self.first.weight = nn.Parameter(torch.cat((gate.weight, own.weight)))
        self.first.bias = nn.Parameter(torch.cat((torch.zeros_like(gate.weight[:, 0, 0, 0]), own.bias)))
        self.gate, self.generator = fused.gate, nn.Sequential(*rest)

    def forward(self, features: Tensor) -> Tensor:
        """F → F_A, both (N, C, H, W)."""
        both = self.first(features)
        query = self.gate.rest(both[:, : self.hidden] + self.gate.position)
        weight, scale = self.gate.match(query.float()), self.generator(both[:, self.hidden :]).tanh()
        advanced: Tensor = features * (1 + weight.to(features.dtype) * scale)
        return advanced


def main() -> None:
    """Compile every way, let them take turns, and write what came out."""
    parser = parser_of("benchmarks.openvino_ways", __doc__)
    parser.add_argument("--backbone", choices=[*BACKBONES], default="wide_resnet50_2")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=100)
    add_out(parser, "openvino-ways")
    options = parser.parse_args()
    model, frames = network(options.backbone, options.size), noise(16, options.size)
    with tempfile.TemporaryDirectory() as temporary:
        graphs = Graphs(model, Path(temporary), frames).write()
        rows = {precision: raced(graphs[precision], model, frames, options.repeats) for precision in PRECISIONS}
    asked = {"backbone": options.backbone, "size": options.size, "repeats": options.repeats}
    result = {**asked, "rows": rows, "load": os.getloadavg()[0], "device": describe_device()}
    write_report(options.out, result, markdown(result))


def raced(graph: Path, model: Aand, frames: Frames, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a call of each way, by its name; `frames` (N, S, S, 3), of which the first is asked."""
    facts = GraphFacts.from_graph(graph)
    runners = {name: compiled(graph, facts.precision, settings) for name, settings in SETTINGS.items()}
    if facts.precision in SHARED_IN:
        other = graph.with_name("shared.onnx")
        write_graph(with_shared_convolution(model, half=facts.precision == "fp16"), facts, other)
        runners[SHARED] = compiled(other, facts.precision, {})
    calls = [lambda runner=runner: runner.infer(frames[:1]) for runner in runners.values()]
    latencies = measure_in_turn(calls, 5, repeats, [1] * len(calls))
    return {name: latency.to_dict() for name, latency in zip(runners, latencies, strict=True)}


def with_shared_convolution(model: Aand, half: bool) -> FusedAand:
    """The deployment graph of a model, with `SharedFirst` in each level."""
    fused = FusedAand(model, half=half)
    amplifiers = [part for part in fused.trunk.amplifiers if isinstance(part, FusedAmplifier)]
    assert amplifiers, "reverse distillation has neither gate nor generator"
    fused.trunk.amplifiers = nn.ModuleList(SharedFirst(part) for part in amplifiers)
    return fused


def compiled(graph: Path, precision: Precision, settings: Mapping[str, Any]) -> OpenVinoRunner:
    """The graph, read as the backend reads it, with other settings."""
    core = openvino.Core()
    read = core.read_model(graph) if precision == "fp32" else read_marked(core, graph)[0]
    return OpenVinoRunner(core.compile_model(read, "CPU", {**settings_for(precision, 0), **settings}))


def markdown(result: Mapping[str, Any]) -> str:
    """The report: milliseconds of a call, and how much less than of the backend's."""
    lines = [
        *heading("Ways to ask OpenVINO", result),
        f"{result['backbone']}, {result['size']}², batch 1, random weights, {result['repeats']} calls a way in turns: "
        f"median in ms, and time gained against “{TAKEN}”.",
        "",
        "| way | " + " | ".join(result["rows"]) + " |",
        "|---" * (1 + len(result["rows"])) + "|",
    ]
    for name in dict.fromkeys(name for rows in result["rows"].values() for name in rows):
        cells = [_cell(rows.get(name), rows[TAKEN]) for rows in result["rows"].values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, float] | None, taken: Mapping[str, float]) -> str:
    return "" if row is None else f"{row['p50']:.1f} ({100 * (1 - row['p50'] / taken['p50']):+.1f} %)"


if __name__ == "__main__":
    as_program(main)
