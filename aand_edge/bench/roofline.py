"""A floor under the time that a graph takes on a chip: computed from its counted layers, never measured.

Layer by layer, each layer takes the longer of its operations at the chip's dense rate and its bytes at the memory's
bandwidth, as if every feature map between two layers went through memory. Perfectly fused, only weights, frames, maps
and scores do, once a call, and all of it while operations run. A cache that holds feature maps puts an engine between
the two; one that holds all weights from call to call (L4, RTX 4090 and H100 have some 50 MB) could beat the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.chips import CHIPS, Chip
from aand_edge.graph_cost import GraphCost, Layer
from aand_edge.graph_facts import GraphFacts

LABEL = "computed, not measured"
HEADINGS = ("chip", "mode", "layer by layer ms", "of it memory", "perfectly fused ms")
PROTOCOL = (
    "Layer by layer: the sum over layers of max(operations / dense rate, bytes / bandwidth). Perfectly fused: "
    "max(all operations, weights + frames + maps), read once a call. Two operations to a multiply-accumulate; "
    "pointwise work is free. Launches, clocks that drop and copies to and from the card come on top."
)


@dataclass(frozen=True)
class Floor:
    """Milliseconds of a call on a chip, at least.

    layers_ms   every feature map goes through memory
    fused_ms    none does
    memory      share of layers_ms in which memory is what takes longest
    """

    chip: Chip
    layers_ms: float
    fused_ms: float
    memory: float


@dataclass(frozen=True)
class Roofline:
    """A graph's floors on every chip."""

    graph: str
    facts: GraphFacts
    cost: GraphCost
    floors: tuple[Floor, ...]

    @classmethod
    def of(cls, graph: Path, chips: Sequence[Chip] = CHIPS) -> Roofline:
        """Raises ArtefactMismatchError where the file is no fused graph, or does not say what its layers cost."""
        cost = GraphCost.from_graph(graph)
        return cls(graph.name, GraphFacts.from_graph(graph), cost, tuple(floor_of(cost, chip) for chip in chips))

    def title(self) -> str:
        """What was counted, in one line."""
        batch = f", batch {self.facts.batch}" if self.facts.batch != 1 else ""
        return (
            f"{self.graph}{batch}: {self.cost.macs / 1e9:.2f} GMAC, {self.cost.weights / 1e6:.1f} MB of weights, "
            f"{self.cost.moved / 1e6:.1f} MB moved layer by layer ({LABEL})"
        )

    def lines(self) -> list[tuple[str, ...]]:
        """A line of cells a chip, as under `HEADINGS`."""
        return [
            (
                each.chip.name,
                each.chip.mode,
                f"{each.layers_ms:.2f}",
                f"{100 * each.memory:.0f} %",
                f"{each.fused_ms:.2f}",
            )
            for each in self.floors
        ]

    def to_dict(self) -> dict[str, Any]:
        """As plain values; milliseconds of a call."""
        return {
            "graph": self.graph,
            "backbone": self.facts.backbone,
            "precision": self.facts.precision,
            "batch": self.facts.batch,
            "gmac": self.cost.macs / 1e9,
            "weights_mb": self.cost.weights / 1e6,
            "moved_mb": self.cost.moved / 1e6,
            "layers": len(self.cost.layers),
            "floors": [
                {
                    "chip": each.chip.name,
                    "layers_ms": each.layers_ms,
                    "fused_ms": each.fused_ms,
                    "memory": each.memory,
                }
                for each in self.floors
            ],
        }


def floor_of(cost: GraphCost, chip: Chip) -> Floor:
    """The floors of one graph on one chip."""
    computing = [_computing_ms(layer, chip) for layer in cost.layers]
    moving = [_moving_ms(layer.weights + layer.reads + layer.writes, chip) for layer in cost.layers]
    layers = [max(pair) for pair in zip(computing, moving, strict=True)]
    in_memory = sum(slow for slow, busy in zip(layers, computing, strict=True) if slow > busy)
    total = sum(layers)
    return Floor(
        chip=chip,
        layers_ms=total,
        fused_ms=max(sum(computing), _moving_ms(cost.weights + cost.input + cost.output, chip)),
        memory=in_memory / total if total else 0.0,
    )


def _computing_ms(layer: Layer, chip: Chip) -> float:
    return 2 * layer.macs / (chip.rates[layer.precision] * 1e12) * 1e3


def _moving_ms(size: int, chip: Chip) -> float:
    return size / (chip.bandwidth * 1e9) * 1e3


def to_dict(rooflines: Sequence[Roofline]) -> dict[str, Any]:
    """The object that `bench --roofline --json` prints."""
    return {
        "label": LABEL,
        "protocol": PROTOCOL,
        "graphs": [each.to_dict() for each in rooflines],
        "chips": [asdict(chip) for chip in CHIPS],
    }


def to_table(rooflines: Sequence[Roofline]) -> Table:
    """A table a graph, one above the other."""
    page = Table.grid()
    for each in rooflines:
        table = Table(title=each.title(), title_justify="left")
        for index, heading in enumerate(HEADINGS):
            table.add_column(heading, justify="right" if index > 1 else "left", no_wrap=index > 1)
        for line in each.lines():
            table.add_row(*line)
        page.add_row(table)
    page.add_row(Text(f"Floors, {LABEL}. {PROTOCOL}"))
    return page


def to_markdown(rooflines: Sequence[Roofline]) -> str:
    """The same as a document, with the source of every rate."""
    lines = [f"# Floors, {LABEL}", "", PROTOCOL, ""]
    for each in rooflines:
        lines += [f"## {each.title()}", "", _row(HEADINGS), _row(("---", "---", "---:", "---:", "---:"))]
        lines += [*(_row(cells) for cells in each.lines()), ""]
    lines += [
        "## What the makers say",
        "",
        _row(("chip", "fp32", "fp16", "int8", "GB/s", "source")),
        _row(("---",) * 6),
    ]
    lines += [
        _row((chip.name, *(f"{rate:g}" for rate in chip.rates.values()), f"{chip.bandwidth:g}", chip.source))
        for chip in CHIPS
    ]
    return "\n".join([*lines, "", "Rates are dense, 10¹² operations a second.", ""])


def write_rooflines(rooflines: Sequence[Roofline], out: Path) -> None:
    """Write roofline.json and roofline.md into the folder `out`, each whole or not at all."""
    write_json(out / "roofline.json", to_dict(rooflines))
    write_text(out / "roofline.md", to_markdown(rooflines))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
