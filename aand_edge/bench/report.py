"""What a bench found: one row an engine, what they are compared with, and which one to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from aand_edge.artifacts import Threshold
from aand_edge.bench.accuracy import Accuracy
from aand_edge.bench.contender import Contender
from aand_edge.bench.device import device_line
from aand_edge.bench.latency import Latency
from aand_edge.bench.memory import Memory

FIGURES = ("image_auroc", "pixel_auroc", "aupro", "f1_max")
FIGURE_NAMES = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO", "f1_max": "F1-max"}
TOLERATED_DROP = 0.01  # of any figure against the reference, for an engine to be recommended
WEAK = 0.8  # image AUROC of the reference: below it one in five pairs of a good and a bad part is ordered wrongly
# Where a threshold comes from that promises nothing: false rejects, misses and flips are then of another kind.
SET = {"f1": "read from labelled pictures", "rate": "read from labelled pictures", "manual": "set by hand"}
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
    model: str
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
            contender.model,
        )

    def figures(self) -> dict[str, float | None]:
        return self.accuracy.metrics.to_dict()

    def compared(self) -> bool:
        """Whether any figure could be compared with the reference's."""
        return any(drop is not None for drop in (self.drop or {}).values())

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
        if not self.good + self.anomalous:
            return ("No test pictures: speed and memory alone were measured, on a training picture.",)
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

    def tables(self) -> dict[str, list[list[str]]]:
        """Title → lines of cells, the headings first. What the test split leaves undefined is no column."""
        tables = {"Speed and memory": self._speed()}
        if self.pictures.good + self.pictures.anomalous:
            tables["Accuracy"] = self._accuracy()
        return tables

    def _speed(self) -> list[list[str]]:
        columns: dict[str, list[str]] = {
            "engine": [row.name for row in self.rows],
            "precision": [row.precision for row in self.rows],
        }
        for key in ("p50", "p95", "p99", "max"):
            columns[f"{key} ms"] = [f"{getattr(row.latency, key):.1f}" for row in self.rows]
        columns["fps"] = [f"{row.latency.fps:.1f}" for row in self.rows]
        columns["decode ms"] = [_number(row.accuracy.decode_ms, 1) for row in self.rows]
        columns["resize ms"] = [_number(row.accuracy.resize_ms, 1) for row in self.rows]
        columns["memory MiB"] = [_number(row.memory.mebibytes, 0) for row in self.rows]
        return _lines(columns)

    def _accuracy(self) -> list[list[str]]:
        columns = {"engine": [row.name for row in self.rows]}
        for key, name in FIGURE_NAMES.items():
            if any(row.figures()[key] is not None for row in self.rows):
                columns[name] = [_number(row.figures()[key], 4) for row in self.rows]
        if self.reference is not None and len(self.rows) > 1:
            columns["worst drop"] = [self._compared(row, f"{row.worst_drop():.4f}") for row in self.rows]
            columns["flips"] = [self._compared(row, str(row.flips)) for row in self.rows]
        columns["threshold"] = [f"{row.threshold.value:.4g}" for row in self.rows]
        if self.pictures.good:
            columns["false rejects"] = [f"{row.accuracy.false_rejects} of {self.pictures.good}" for row in self.rows]
        if self.pictures.anomalous:
            columns["missed"] = [f"{row.accuracy.missed} of {self.pictures.anomalous}" for row in self.rows]
        return _lines(columns)

    def _compared(self, row: EngineRow, text: str) -> str:
        if row.name == self.reference:
            return "reference"
        return "–" if row.drop is None else text

    def table(self) -> Table:
        """The tables for the terminal, one above the other, the recommended engine in bold, and the remarks."""
        chosen = self.recommended.engine if self.recommended else None
        page = Table.grid()
        for title, lines in self.tables().items():
            page.add_row(_terminal_table(title, lines, chosen))
        for remark in self.remarks():
            page.add_row(Text(remark))
        return page

    def verdict(self) -> str:
        """The recommendation in one sentence, and whether the budget is kept."""
        if self.recommended is None:
            return "Only a yardstick was measured."
        return f"Use {self.recommended.engine}: {self.recommended.reason}. {self.doubt()}".rstrip()

    def doubt(self) -> str:
        """A sentence where no choice of an engine helps, since the model they all came from is weak; else empty."""
        name = self.reference or (self.recommended.engine if self.recommended else None)
        auroc = self.row(name).figures()["image_auroc"] if name is not None else None
        if auroc is None or auroc >= WEAK:
            return ""
        return (
            f"But the model itself hardly tells good from bad (image AUROC {auroc:.2f}, 0.5 is chance): "
            "training longer, or on more pictures, comes before the choice of an engine."
        )

    def to_markdown(self) -> str:
        lines = [f"# Bench: {self.category}", "", f"**{self.verdict()}**", ""]
        for title, table in self.tables().items():
            lines += [f"## {title}", "", _line(table[0]), _line(["---"] + ["---:"] * (len(table[0]) - 1))]
            lines += [*(_line(cells) for cells in table[1:]), ""]
        lines += [*(f"- {remark}" for remark in self.remarks()), f"- machine: {device_line(self.device)}"]
        lines += [f"- {key}: {text}" for key, text in self.protocol.items()]
        return "\n".join([*lines, "", f"Measured {self.created}.", ""])

    def remarks(self) -> list[str]:
        """What a reader must know beside the figures: what is left out, and what ran other than asked for."""
        notes = [f"{row.name}: {row.note}" for row in self.rows if row.note]
        notes += [f"{row.name}, memory: {row.memory.reason}" for row in self.rows if row.memory.reason]
        if self.reference is not None:
            apart = "looks at another part of the picture than the reference, so they are not compared"
            notes += [f"{row.name}: {apart}" for row in self.rows if row.drop is None]
        notes += [f"{row.name}: its threshold was {SET[row.threshold.rule]}" for row in self.rows if _is_set(row)]
        notes += slower_int8(self.rows)
        return [*self.pictures.undefined(), *(f"{note.rstrip('.')}." for note in notes)]


def _is_set(row: EngineRow) -> bool:
    return row.threshold.rule in SET


def slower_int8(rows: Sequence[EngineRow]) -> list[str]:
    """A sentence for each int8 engine that is slower than the fp16 one of its model and backend."""
    return [
        f"{row.name} is slower than {other.name}: int8 gains nothing on this machine"
        for row in rows
        for other in rows
        if (row.precision, other.precision) == ("int8", "fp16")
        and (row.model, row.backend) == (other.model, other.backend)
        and row.latency.p50 > MARGIN * other.latency.p50
    ]


def recommend(rows: Sequence[EngineRow], reference: str | None, budget_ms: float | None) -> Recommendation | None:
    """The fastest engine that loses at most TOLERATED_DROP of any figure and keeps the budget, as far as there is one.

    The fastest is that of the lowest P50: in the mean, which FPS is of, a stall of the machine would choose too.
    Where the fastest is not faster than the reference by MARGIN, the reference is preferred.
    """
    deployable = [row for row in rows if row.deployable]
    candidates = [row for row in deployable if row.drop is not None] or deployable
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
    elif not any(row.compared() for row in candidates):
        reason = "no other engine is clearly faster, and their accuracy could not be compared"
    elif best.name == reference:
        reason = "the reference itself, and no other engine is clearly faster without losing accuracy"
    elif best.worst_drop() <= TOLERATED_DROP:
        reason = (
            f"the fastest of {len(candidates)} engines that lose at most {TOLERATED_DROP:g} of any figure "
            f"(P50 {best.latency.p50:.1f} ms)"
        )
    else:
        reason = f"every engine loses more than {TOLERATED_DROP:g} of some figure, this one least"
    if budget_ms is None:
        return reason
    budget = f"the budget of {budget_ms:g} ms (P99 {best.latency.p99:.1f} ms)"
    if not best.keeps(budget_ms):
        return f"{reason}; it misses {budget}"
    return f"{reason}; it keeps {budget}" if len(candidates) == 1 else f"{reason}, among those that keep {budget}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _lines(columns: Mapping[str, list[str]]) -> list[list[str]]:
    """The headings, then one line of cells a row."""
    return [list(columns), *(list(cells) for cells in zip(*columns.values(), strict=True))]


def _terminal_table(title: str, lines: Sequence[Sequence[str]], chosen: str | None) -> Table:
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(lines[0]):
        table.add_column(heading, justify="right" if index else "left", no_wrap=not index)
    for cells in lines[1:]:
        table.add_row(*cells, style="bold" if cells[0] == chosen else None)
    return table


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
