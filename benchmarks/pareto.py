"""What a lighter backbone and a lower precision lose and gain: bench's JSON of several models as one plot.

    aand-edge bench --eager --json > benchmarks/results/screw-resnet18.json        # one for each backbone
    python benchmarks/pareto.py benchmarks/results/screw-*.json

Latency of different files is comparable only where they come from one machine: their devices must be the same.
Writes docs/pareto.svg; a line joins the engines that no other beats in both speed and accuracy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

FIGURES = {"image_auroc": "image AUROC", "aupro": "AUPRO"}
TARGET = Path(__file__).resolve().parents[1] / "docs" / "pareto.svg"


@dataclass(frozen=True)
class Point:
    """An engine: its backbone and precision, the median latency in ms, its figures by name."""

    name: str
    milliseconds: float
    figures: dict[str, float]


def points(bench: dict[str, Any]) -> list[Point]:
    """The engines of a bench report, PyTorch left out."""
    return [
        Point(
            f"{engine['name'].split('.')[0].removeprefix(bench['category'] + '-')} {engine['precision']}",
            engine["latency_ms"]["p50"],
            {figure: engine[figure] for figure in FIGURES},
        )
        for engine in bench["engines"]
        if not engine["backend"].startswith("torch")
    ]


def front(engines: Sequence[Point], figure: str) -> list[Point]:
    """Those that no faster engine equals or beats, the fastest first."""
    kept: list[Point] = []
    for each in sorted(engines, key=lambda point: (point.milliseconds, -point.figures[figure])):
        if not kept or each.figures[figure] > kept[-1].figures[figure]:
            kept.append(each)
    return kept


def draw(engines: Sequence[Point], category: str, device: str) -> None:
    """Write the plot: a panel a figure, time logarithmic."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "aand-edge", "font.size": 10})
    canvas, panels = plt.subplots(1, len(FIGURES), figsize=(10, 4), layout="constrained")
    for panel, (figure, label) in zip(panels, FIGURES.items(), strict=True):
        best = front(engines, figure)
        panel.plot([p.milliseconds for p in best], [p.figures[figure] for p in best], color="#9aa4b2", zorder=1)
        for point in engines:
            place = (point.milliseconds, point.figures[figure])
            panel.scatter(*place, color="#1f6feb" if point in best else "#9aa4b2", zorder=2)
            panel.annotate(point.name, place, xytext=(6, 5), textcoords="offset points", fontsize=8)
        panel.set_xscale("log")
        panel.set_xlabel("milliseconds a frame, median")
        panel.set_title(label, loc="left")
        panel.margins(x=0.25, y=0.2)
        panel.spines[["top", "right"]].set_visible(False)
    canvas.suptitle(f"{category}, 256², batch 1, {device}", fontsize=10, color="#57606a")
    canvas.savefig(TARGET, metadata={"Date": None})


def main() -> None:
    """Read the reports, refuse those of other machines, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", help="what `aand-edge bench --json` printed")
    options = parser.parse_args()
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in options.reports]
    kinds = {(report["category"], report["device"]["cpu"]) for report in reports}
    if len(kinds) > 1:
        raise SystemExit(f"These were not measured on one category and machine: {sorted(kinds)}")
    ((category, device),) = kinds
    draw([point for report in reports for point in points(report)], category, device)
    print(TARGET)


if __name__ == "__main__":
    main()
