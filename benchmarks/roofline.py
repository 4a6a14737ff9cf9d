"""Floors of every backbone and precision on every chip, computed and not measured: `results/roofline.md` and `.json`.

    python -m benchmarks.roofline

What a layer costs depends on shapes and types alone, so the graphs are written from untrained networks, and the int8
ones with one range for all tensors. Nothing runs, and no device is needed.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from aand_edge.bench.roofline import Roofline, write_rooflines
from aand_edge.export.cost import describe
from aand_edge.export.graph import write_graph
from aand_edge.export.int8 import Quantisation, quantised_facts
from aand_edge.export.quantise import activations, quantise
from aand_edge.export.regions import default_regions
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand
from benchmarks import RESULTS
from benchmarks.report import parser_of

BACKBONES = ("wide_resnet50_2", "resnet50", "resnet34", "resnet18", "efficientnet_lite0")


def main() -> None:
    """Write the graphs of each backbone into a temporary folder, and count them."""
    options = parser_of("benchmarks.roofline", __doc__)
    options.add_argument("--backbones", nargs="+", default=BACKBONES, choices=BACKBONES)
    options.add_argument("--size", type=int, default=256)
    options.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = options.parse_args()
    found: list[Roofline] = []
    for backbone in given.backbones:
        with TemporaryDirectory() as folder:
            found += rooflines(backbone, given.size, Path(folder))
        for each in found[-3:]:
            print(each.title())
    write_rooflines(found, given.out)


def rooflines(backbone: str, size: int, folder: Path) -> list[Roofline]:
    """Of the fp32, the fp16 and the int8 graph."""
    model, graphs = Aand(backbone, size), []
    for precision in ("fp32", "fp16"):
        graphs.append(folder / f"{backbone}.{precision}.onnx")
        facts: Any = {"name": backbone, "backbone": backbone, "size": size, "frame": (size, size), "colour": "BGR"}
        write_graph(
            FusedAand(model, half=precision == "fp16"), GraphFacts(precision=precision, weights="", **facts), graphs[-1]
        )
    graphs.append(folder / f"{backbone}.int8.onnx")
    _quantise(graphs[1], graphs[2])
    return [Roofline.of(graph) for graph in graphs]


def _quantise(half: Path, target: Path) -> None:
    facts, graph = GraphFacts.from_graph(half), onnx.load(half)
    regions = default_regions(facts.backbone)
    names = activations(onnx.load(half), regions)
    casts = {node.output[0]: node.input[0] for node in graph.graph.node if node.op_type == "Cast"}
    quantised = quantise(graph, dict.fromkeys([*names, *casts.values()], 1.0), regions)
    describe(quantised, quantised_facts(facts, "", 0, Quantisation(regions)))
    onnx.save_model(quantised, str(target))


if __name__ == "__main__":
    main()
