"""Floors of every backbone and precision on every chip, computed and not measured: `results/roofline.md` and `.json`.

    python -m benchmarks.roofline

What a layer costs depends on shapes and types alone, so the graphs are written from untrained networks, and the int8
ones with one range for all tensors. Nothing runs, and no device is needed.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from aand_edge.bench.roofline import Roofline, write_rooflines
from benchmarks import RESULTS
from benchmarks.report import as_program, parser_of
from benchmarks.untrained import Graphs, network

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
    graphs = Graphs(network(backbone, size), folder, name=backbone).write()
    return [Roofline.of(graph) for graph in graphs.values()]


if __name__ == "__main__":
    as_program(main)
