"""What a lighter backbone and a lower precision lose and gain: bench's JSON of several models as one plot.

    aand-edge bench ENGINE … --data DIR --json > benchmarks/results/screw-pareto.json      # of all backbones in one run
    python -m benchmarks.pareto benchmarks/results/screw-pareto.json

Latency of different files is comparable only where they come from one machine: their devices must be the same.
Writes docs/pareto.svg; a line joins the engines that no other beats in both speed and accuracy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import ticker

from benchmarks import REPOSITORY
from benchmarks.report import as_program, parser_of

FIGURES = {"image_auroc": "image AUROC", "aupro": "AUPRO"}
COLOURS = ("#1f6feb", "#d9622b", "#2a8f5a", "#8a4fbf", "#6b7280")
ROOM = 0.01  # above and below what is shown: a thousandth must not look like a gulf
TARGET = REPOSITORY / "docs" / "pareto.svg"


@dataclass(frozen=True)
class Point:
    """An engine: its model and precision, the median latency in ms, its figures by name."""

    model: str
    precision: str
    milliseconds: float
    figures: dict[str, float]


def points(bench: dict[str, Any]) -> list[Point]:
    """The engines of a bench report, PyTorch left out."""
    return [
        Point(
            engine["name"].split(".")[0].removeprefix(bench["category"] + "-"),
            engine["precision"],
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


def draw(engines: Sequence[Point], category: str, device: str, target: Path) -> None:
    """Write the plot: a panel a figure, time logarithmic."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "aand-edge", "font.size": 10})
    canvas, panels = plt.subplots(1, len(FIGURES), figsize=(10, 4), layout="constrained")
    colours = dict(zip(sorted({each.model for each in engines}), COLOURS, strict=False))
    for panel, (figure, label) in zip(panels, FIGURES.items(), strict=True):
        best = front(engines, figure)
        panel.plot([p.milliseconds for p in best], [p.figures[figure] for p in best], color="#c4ccd6", zorder=1)
        for model, colour in colours.items():
            own = [each for each in engines if each.model == model]
            panel.scatter([p.milliseconds for p in own], [p.figures[figure] for p in own], color=colour, label=model)
        for rank, point in enumerate(sorted(engines, key=lambda each: each.milliseconds)):
            place = (point.milliseconds, point.figures[figure])
            above = 6 if rank % 2 else -13  # of two neighbours one is told above and one below
            panel.annotate(
                point.precision, place, xytext=(0, above), textcoords="offset points", ha="center", fontsize=8
            )
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5)))
        panel.xaxis.set_major_formatter(ticker.ScalarFormatter())
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        panel.set_xlabel("milliseconds a frame, median")
        panel.set_title(label, loc="left")
        values = [each.figures[figure] for each in engines]
        panel.set_ylim(min(values) - ROOM, max(values) + ROOM)
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    canvas.suptitle(f"{category}, 256², batch 1, {device}", fontsize=10, color="#57606a")
    canvas.savefig(target, metadata={"Date": None})


def main() -> None:
    """Read the reports, refuse those of other machines, draw."""
    parser = parser_of("benchmarks.pareto", __doc__)
    parser.add_argument("reports", type=Path, nargs="+", help="what `aand-edge bench --json` printed")
    parser.add_argument("--out", type=Path, default=TARGET, help="the plot, an .svg")
    options = parser.parse_args()
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in options.reports]
    kinds = {(report["category"], report["device"]["cpu"]) for report in reports}
    if len(kinds) > 1:
        raise SystemExit(f"These were not measured on one category and machine: {sorted(kinds)}")
    ((category, device),) = kinds
    draw([point for report in reports for point in points(report)], category, device, options.out)
    print(options.out)


if __name__ == "__main__":
    as_program(main)
