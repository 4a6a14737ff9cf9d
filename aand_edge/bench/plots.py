"""The report's plots, as SVG that takes its colours from the page and so follows its light or dark theme."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.bench.report import EngineRow
from aand_edge.errors import MissingDependencyError

# matplotlib writes each colour as given; the page then puts its own in the place of these.
INK, FAINT, GOOD, DEFECT, ACCENT = "#010203", "#010204", "#010205", "#010206", "#010207"
PAGE_COLOURS = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GOOD: "var(--good)",
    DEFECT: "var(--defect)",
    ACCENT: "var(--accent)",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aand-edge",
    "text.parse_math": False,  # a dollar in a name is no formula
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
BINS = 40
WIDE = 4.0  # slowest over fastest sample, beyond which the time axis is logarithmic


def latency_plot(rows: Sequence[EngineRow], budget_ms: float | None) -> str:
    """SVG: a histogram of every sample of each engine on one time axis, with its P50, P99 and the budget."""
    everything = [sample for row in rows for sample in row.latency.samples]
    wide = max(everything) > WIDE * min(everything)
    bins = _bins(np.array(everything + ([budget_ms] if budget_ms else [])), wide)

    def draw(axes: Any) -> None:
        for axis, row in zip(axes, rows, strict=True):
            axis.hist(row.latency.samples, bins=bins, color=ACCENT, alpha=0.75)
            _mark(axis, row.latency.p50, f"P50 {row.latency.p50:.1f}", INK, "-", 1.0)
            _mark(axis, row.latency.p99, f"P99 {row.latency.p99:.1f}", DEFECT, "-", 0.76)
            if budget_ms:
                _mark(axis, budget_ms, f"budget {budget_ms:g}", GOOD, "--", 0.5)
            axis.set_title(row.name, loc="left", fontsize=10, color=INK, pad=10)
            if wide:
                _log_axis(axis, bins)
        axes[-1].set_xlabel("milliseconds a batch" + (", logarithmic axis" if wide else ""))

    return _svg(draw, len(rows), "Latency of each engine")


def score_plot(row: EngineRow) -> str:
    """SVG: histograms of the good and the anomalous pictures' scores, with the threshold."""
    scores = np.array([judgement.score for judgement in row.accuracy.judgements])
    anomalous = np.array([judgement.sample.anomalous for judgement in row.accuracy.judgements])
    bins = _bins(np.append(scores, row.threshold.value), logarithmic=False)

    def draw(axes: Any) -> None:
        for chosen, colour, label in ((~anomalous, GOOD, "good parts"), (anomalous, DEFECT, "parts with a defect")):
            if chosen.any():
                axes[0].hist(scores[chosen], bins=bins, color=colour, alpha=0.65, label=label)
        _mark(axes[0], row.threshold.value, "rejected from here on", INK, "--", 1.0)
        axes[0].set_title(row.name, loc="left", fontsize=10, color=INK, pad=10)
        axes[0].set_xlabel("anomaly score")
        axes[0].set_ylabel("pictures")
        axes[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2, labelcolor=INK)

    return _svg(draw, 1, f"Scores of {row.name}", height=2.6)


def _bins(values: NDArray[np.floating[Any]], logarithmic: bool) -> NDArray[np.floating[Any]]:
    low, high = float(values.min()), float(values.max())
    if logarithmic:
        return np.geomspace(low * 0.95, high * 1.05, BINS + 1)
    margin = 0.03 * (high - low) or 0.5
    return np.linspace(max(low - margin, 0.0) if low >= 0 else low - margin, high + margin, BINS + 1)


def _mark(axis: Any, value: float, label: str, colour: str, line: str, height: float) -> None:
    """A vertical line with its name beside it, on the side where there is room."""
    axis.axvline(value, color=colour, linestyle=line, linewidth=1.3)
    left, right = axis.get_xlim()
    beyond = value > left + 0.75 * (right - left)
    axis.annotate(
        label,
        (value, height),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if beyond else 4, -3),
        textcoords="offset points",
        ha="right" if beyond else "left",
        va="top",
        color=colour,
        fontsize=9,
    )


def _log_axis(axis: Any, bins: NDArray[np.floating[Any]]) -> None:
    axis.set_xscale("log")
    steps = [step * 10.0**power for power in range(-3, 6) for step in (1, 2, 3, 5, 7)]
    ticks = [tick for tick in steps if bins[0] <= tick <= bins[-1]]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def _svg(draw: Callable[[Any], None], panels: int, title: str, height: float = 1.5) -> str:
    """What `draw` puts on a column of axes, as an inline SVG element."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The report needs matplotlib, which is not installed", 'Install it with `pip install "aand-edge[bench]"`.'
        ) from None
    with rc_context(STYLE):
        figure = Figure(figsize=(7.6, height * panels + 0.5), layout="constrained")
        axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
        for axis in axes:
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y", color=FAINT, alpha=0.2)
            axis.set_axisbelow(True)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(text.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """The <svg> element alone, as wide as the page allows, in the page's colours and font."""
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(colour, name)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "sans-serif", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
