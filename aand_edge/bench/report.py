"""What a bench found: one row an engine, what they are compared with, and which one to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from aand_edge.artifacts import Threshold
from aand_edge.bench.accuracy import Accuracy
from aand_edge.bench.contender import Contender
from aand_edge.bench.device import device_line
from aand_edge.bench.latency import Latency
from aand_edge.bench.memory import Memory

FIGURES = ("image_auroc", "pixel_auroc", "aupro", "f1_max")
FIGURE_NAMES = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO", "f1_max": "F1-max"}
TOLERATED_DROP = 0.01  # of any figure against the reference, for an engine to be recommended
MARGIN = 1.05  # an engine must be faster by this factor to be preferred to the reference


@dataclass(frozen=True)
class EngineRow:
    """An engine's measurements. `drop` and `flips` compare it with the reference, where there is one."""

    name: str
    backend: str
    precision: str
    executed: Mapping[str, int]
    note: str
    latency: Latency
    memory: Memory
    accuracy: Accuracy
    threshold: Threshold
    deployable: bool
    drop: Mapping[str, float | None] | None = None
    flips: int | None = None

    @classmethod
    def of(cls, contender: Contender, latency: Latency, memory: Memory, accuracy: Accuracy) -> EngineRow:
        return cls(
            contender.name,
            contender.backend,
            contender.precision,
            contender.executed,
            contender.note,
            latency,
            memory,
            accuracy,
            contender.threshold,
            contender.deployable,
        )

    def figures(self) -> dict[str, float | None]:
        return self.accuracy.metrics.to_dict()

    def worst_drop(self) -> float:
        """The largest loss of any figure against the reference; 0 where nothing can be compared."""
        return max((drop for drop in (self.drop or {}).values() if drop is not None), default=0.0)

    def keeps(self, budget_ms: float | None) -> bool:
        return budget_ms is None or self.latency.p99 <= budget_ms

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "backend": self.backend,
            "precision": self.precision,
            "executed": dict(self.executed),
            "note": self.note,
            "fps": round(self.latency.fps, 2),
            "latency_ms": self.latency.to_dict(),
            "decode_ms": self.accuracy.decode_ms,
            "resize_ms": self.accuracy.resize_ms,
            "memory_mb": self.memory.mebibytes,
            "memory_note": self.memory.reason,
            **self.figures(),
            "drop": dict(self.drop) if self.drop is not None else None,
            "flips": self.flips,
            "threshold": self.threshold.model_dump(),
            "false_rejects": self.accuracy.false_rejects,
            "missed": self.accuracy.missed,
        }


@dataclass(frozen=True)
class Recommendation:
    """The engine to use, and why, in one sentence."""

    engine: str
    reason: str


@dataclass(frozen=True)
class Pictures:
    """How many test pictures there were: good, anomalous, and how many of the latter had no mask."""

    good: int
    anomalous: int
    unmasked: int

    def undefined(self) -> tuple[str, ...]:
        """One sentence for each figure that these pictures cannot define."""
        if not self.anomalous:
            return ("No anomalies in the test split: AUROC, AUPRO, F1 and missed defects are left out.",)
        if not self.good:
            return ("No good pictures in the test split: image AUROC, F1 and false rejects are left out.",)
        if self.unmasked == self.anomalous:
            return ("No masks in the test split: pixel AUROC and AUPRO are left out.",)
        if self.unmasked:
            return (f"Anomalous pictures without a mask: {self.unmasked}. They count for the image figures only.",)
        return ()


@dataclass(frozen=True)
class BenchReport:
    """Everything a bench found. `reference` is the name of the fp32 row that drops and flips are counted against."""

    category: str
    rows: tuple[EngineRow, ...]
    pictures: Pictures
    reference: str | None
    recommended: Recommendation | None
    budget_ms: float | None
    device: Mapping[str, str]
    protocol: Mapping[str, str]
    created: str  # ISO 8601, UTC

    def row(self, name: str) -> EngineRow:
        return next(row for row in self.rows if row.name == name)

    def to_dict(self) -> dict[str, Any]:
        """The object that `bench --json` prints. A figure that is undefined is null, and `undefined` says why."""
        return {
            "category": self.category,
            "engines": [row.to_dict() for row in self.rows],
            "reference": self.reference,
            "recommended": asdict(self.recommended) if self.recommended else None,
            "pictures": asdict(self.pictures),
            "undefined": list(self.pictures.undefined()),
            "budget_ms": self.budget_ms,
            "device": dict(self.device),
            "protocol": dict(self.protocol),
            "created": self.created,
        }

    def columns(self) -> list[str]:
        """Headings of the table; a figure that no engine has is no column."""
        figures = [FIGURE_NAMES[key] for key in self.defined()]
        return ["engine", "precision", "fps", "p50 ms", "p95 ms", "p99 ms", "max ms", "memory MiB", *figures] + [
            heading
            for heading, shown in (
                ("worst drop", self.reference is not None and bool(figures)),
                ("flips", self.reference is not None),
                ("false rejects", bool(self.pictures.good)),
                ("missed", bool(self.pictures.anomalous)),
            )
            if shown
        ]

    def defined(self) -> list[str]:
        """Keys of the figures that the test split defines."""
        return [key for key in FIGURES if any(row.figures()[key] is not None for row in self.rows)]

    def cells(self, row: EngineRow) -> list[str]:
        """An engine's cells, one for each of `columns`."""
        latency, compared = row.latency, row.name != self.reference
        cells = {
            "engine": row.name,
            "precision": row.precision,
            "fps": f"{latency.fps:.1f}",
            **{f"{key} ms": f"{getattr(latency, key):.1f}" for key in ("p50", "p95", "p99", "max")},
            "memory MiB": "–" if row.memory.mebibytes is None else f"{row.memory.mebibytes:.0f}",
            **{FIGURE_NAMES[key]: _figure(value) for key, value in row.figures().items()},
            "worst drop": f"{row.worst_drop():.4f}" if compared else "reference",
            "flips": "–" if row.flips is None or not compared else str(row.flips),
            "false rejects": f"{row.accuracy.false_rejects} of {self.pictures.good}",
            "missed": f"{row.accuracy.missed} of {self.pictures.anomalous}",
        }
        return [cells[heading] for heading in self.columns()]

    def table(self) -> Table:
        """The rows as a table for the terminal, the recommended engine in bold."""
        table = Table(title=f"bench · {self.category}", caption=self.verdict(), caption_justify="left")
        for index, heading in enumerate(self.columns()):
            table.add_column(heading, justify="right" if index > 1 else "left", no_wrap=index == 0)
        for row in self.rows:
            best = self.recommended is not None and row.name == self.recommended.engine
            table.add_row(*self.cells(row), style="bold" if best else None)
        return table

    def verdict(self) -> str:
        """The recommendation in one sentence, and whether the budget is kept."""
        if self.recommended is None:
            return "No engine was measured."
        return f"Use {self.recommended.engine}: {self.recommended.reason}."

    def to_markdown(self) -> str:
        columns = self.columns()
        lines = [f"# Bench: {self.category}", "", f"**{self.verdict()}**", ""]
        lines += [_line(columns), _line(["---", "---"] + ["---:"] * (len(columns) - 2))]
        lines += [_line(self.cells(row)) for row in self.rows]
        lines += ["", f"Machine: {device_line(self.device)}", ""]
        lines += [f"- {text}" for text in self.remarks()]
        lines += [f"- {key}: {text}" for key, text in self.protocol.items()]
        return "\n".join([*lines, "", f"Measured {self.created}.", ""])

    def remarks(self) -> list[str]:
        """What a reader must know beside the figures: what is left out, and what ran other than asked for."""
        notes = [f"{row.name}: {row.note}" for row in self.rows if row.note]
        notes += [f"{row.name}, memory: {row.memory.reason}" for row in self.rows if row.memory.reason]
        return [*self.pictures.undefined(), *(f"{note.rstrip('.')}." for note in notes)]


def recommend(rows: Sequence[EngineRow], reference: str | None, budget_ms: float | None) -> Recommendation | None:
    """The fastest engine that loses at most TOLERATED_DROP of any figure and keeps the budget, as far as there is one.

    Where the fastest is not faster than the reference by MARGIN, the reference is preferred.
    """
    candidates = [row for row in rows if row.deployable]
    if not candidates:
        return None
    accurate = [row for row in candidates if row.worst_drop() <= TOLERATED_DROP]
    pool = accurate or [min(candidates, key=EngineRow.worst_drop)]
    pool = [row for row in pool if row.keeps(budget_ms)] or pool
    best = min(pool, key=lambda row: row.latency.p50)
    same = [row for row in pool if row.name == reference and row.latency.p50 <= MARGIN * best.latency.p50]
    best = same[0] if same else best
    return Recommendation(best.name, _reason(best, candidates, reference, budget_ms))


def _reason(best: EngineRow, candidates: Sequence[EngineRow], reference: str | None, budget_ms: float | None) -> str:
    if len(candidates) == 1:
        reason = "the only engine measured"
    elif best.name == reference:
        reason = "the reference itself, and no other engine is clearly faster without losing accuracy"
    elif reference is None:
        reason = f"the fastest of {len(candidates)} engines; there is no fp32 engine to compare its accuracy with"
    elif best.worst_drop() <= TOLERATED_DROP:
        reason = f"the fastest of {len(candidates)} engines that lose at most {TOLERATED_DROP:g} of any figure"
    else:
        reason = f"every engine loses more than {TOLERATED_DROP:g} of some figure, this one least"
    if budget_ms is None:
        return reason
    relation = "keeps" if best.keeps(budget_ms) else "misses"
    return f"{reason}; it {relation} the budget of {budget_ms:g} ms (P99 {best.latency.p99:.1f} ms)"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
