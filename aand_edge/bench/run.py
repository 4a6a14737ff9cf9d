"""The bench: every engine timed in turn, judged on the test split, and written down for a person to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from aand_edge.artifacts import EngineManifest, write_json, write_text
from aand_edge.bench.accuracy import Accuracy, batch_of, judge_split, prepare
from aand_edge.bench.contender import Contender, RunnerFactory, View
from aand_edge.bench.device import describe_device
from aand_edge.bench.latency import ROUND, Latency, measure_in_turn
from aand_edge.bench.memory import measure_memory
from aand_edge.bench.page import to_html
from aand_edge.bench.report import FIGURES, BenchReport, EngineRow, Pictures, recommend
from aand_edge.data.layouts import Category
from aand_edge.engines.base import Frames, Runner
from aand_edge.engines.packages import found
from aand_edge.errors import DataError, LatencyBudgetError, MissingDependencyError, UsageError

Progress = Callable[[str, int, int], None]


def run_bench(
    engines: Sequence[tuple[EngineManifest, RunnerFactory]],
    category: Category,
    *,
    repeats: int,
    warmup: int,
    budget_ms: float | None,
    out: Path,
    eager: Sequence[Contender] = (),
    progress: Progress | None = None,
) -> BenchReport:
    """Measure engines on a category's test split; report.json, report.md, report.html and pictures.csv go into `out`.

    eager       the PyTorch models as yardsticks, which are measured like engines but never recommended
    budget_ms   P99 that the recommended engine must keep; see `check_budget`
    progress    told a stage, steps done and steps in all

    Raises UsageError without engines or where two have one name, MissingDependencyError without what the report is
    made with, DataError where there is no picture to measure with.
    """
    contenders = [*(Contender.from_manifest(manifest, load) for manifest, load in engines), *eager]
    _check(contenders)
    _check_packages(category)
    rows = _measure(contenders, category, repeats, warmup, progress or _silent)
    reference = reference_of(contenders)
    rows = compare(rows, reference, {contender.name: contender.view for contender in contenders})
    report = BenchReport(
        category=category.name,
        rows=tuple(rows),
        pictures=_count(category),
        reference=reference,
        recommended=recommend(rows, reference, budget_ms),
        budget_ms=budget_ms,
        device=describe_device(),
        protocol=_protocol(repeats, warmup, len(contenders)),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    write_report(report, out)
    return report


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody asked for."""


def _check(contenders: Sequence[Contender]) -> None:
    if not contenders:
        raise UsageError("There is no engine to bench", "Build one with `aand-edge build`.")
    names = [contender.name for contender in contenders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"Two engines are called {twice[0]}", "Name each engine once.")


def _check_packages(category: Category) -> None:
    """Raises MissingDependencyError for what plots and figures need, rather than when everything was measured."""
    kinds = {sample.anomalous for sample in category.test}
    needed = {
        "matplotlib": True,
        "sklearn": len(kinds) > 1,
        "scipy": any(sample.mask is not None for sample in category.test),
    }
    lacking = [package for package, asked in needed.items() if asked and not found(package)]
    if lacking:
        raise MissingDependencyError(
            f"The report needs packages that are not installed: {', '.join(lacking)}",
            'Install them with `pip install "aand-edge[bench]"`.',
        )


def _measure(
    contenders: Sequence[Contender], category: Category, repeats: int, warmup: int, progress: Progress
) -> list[EngineRow]:
    memories = []
    progress("memory", 0, len(contenders))
    for contender in contenders:  # before any is loaded here, so that there is room for the child
        memories.append(measure_memory(contender))
        progress("memory", len(memories), len(contenders))
    with ExitStack() as stack:
        runners = [stack.enter_context(contender.load()) for contender in contenders]
        latencies = _latencies(contenders, runners, category, repeats, warmup, partial(progress, "latency"))
        accuracies = [
            judge_split(runner, contender, category.test, partial(progress, contender.name))
            for contender, runner in zip(contenders, runners, strict=True)
        ]
    return [EngineRow.of(*measured) for measured in zip(contenders, latencies, memories, accuracies, strict=True)]


def _latencies(
    contenders: Sequence[Contender],
    runners: Sequence[Runner],
    category: Category,
    repeats: int,
    warmup: int,
    progress: Callable[[int, int], None],
) -> list[Latency]:
    frames = [first_batch(category, contender) for contender in contenders]
    infers = [partial(runner.infer, batch) for runner, batch in zip(runners, frames, strict=True)]
    return measure_in_turn(infers, warmup, repeats, [contender.batch for contender in contenders], progress)


def first_batch(category: Category, contender: Contender) -> Frames:
    """The frames that latency is measured with: the first pictures of the test split, or else of the training split."""
    samples = (category.test or category.train)[: contender.batch]
    if not samples:
        raise DataError(f"{category.root} holds no picture to measure with", "Check it with `aand-edge doctor`.")
    return batch_of([prepare(sample, contender) for sample in samples], contender.batch)


def reference_of(contenders: Sequence[Contender]) -> str | None:
    """Name of the fp32 contender that the others are compared with.

    An engine rather than the yardstick, one that sees the whole picture rather than a region, OpenVINO's if it can be.
    """
    fp32 = [contender for contender in contenders if contender.precision == "fp32"]
    ranked = sorted(fp32, key=lambda each: (not each.deployable, each.view is not None, each.backend != "openvino"))
    return ranked[0].name if ranked else None


def compare(rows: Sequence[EngineRow], reference: str | None, views: Mapping[str, View | None]) -> list[EngineRow]:
    """The rows with `drop` (the reference's figure minus the row's) and `flips` filled in, if there is a reference.

    A row that looks at another part of the picture stays as it is: its figures say nothing of a loss.
    """
    if reference is None:
        return list(rows)
    against = next(row for row in rows if row.name == reference)
    return [
        replace(row, drop=_drop(row.figures(), against.figures()), flips=_flips(row.accuracy, against.accuracy))
        if views[row.name] == views[reference]
        else row
        for row in rows
    ]


def _drop(figures: Mapping[str, float | None], against: Mapping[str, float | None]) -> dict[str, float | None]:
    pairs = {key: (against[key], figures[key]) for key in FIGURES}
    return {key: None if a is None or b is None else a - b for key, (a, b) in pairs.items()}


def _flips(accuracy: Accuracy, against: Accuracy) -> int | None:
    if not accuracy.judgements:
        return None
    pairs = zip(accuracy.judgements, against.judgements, strict=True)
    return sum(own.rejected != other.rejected for own, other in pairs)


def _count(category: Category) -> Pictures:
    anomalous = [sample for sample in category.test if sample.anomalous]
    return Pictures(
        len(category.test) - len(anomalous), len(anomalous), sum(sample.mask is None for sample in anomalous)
    )


def _protocol(repeats: int, warmup: int, engines: int) -> dict[str, str]:
    turns = f" Engines take turns of {ROUND} runs, and the first run of a turn is not counted." if engines > 1 else ""
    return {
        "latency": f"{repeats} runs after {warmup} warm-up runs, from a frame in memory to its map and score, one "
        f"after the other.{turns} Nothing is trimmed; each percentile is a time that was seen (nearest rank).",
        "decoding and resizing": "median over the test pictures, timed apart and not part of the latency.",
        "memory": "peak growth of a fresh process that imports the backend, loads the engine and answers one batch; "
        "host memory only.",
        "verdicts": "each engine is judged at its own threshold, as its manifest records it.",
        "figures": "image AUROC, pixel AUROC, AUPRO (8-connected regions, false-positive rate up to 0.3) and F1-max "
        "over the whole test split; a drop is the reference's figure minus the engine's.",
    }


def write_report(report: BenchReport, out: Path) -> None:
    """Write report.json, report.md, report.html and pictures.csv into the folder `out`, all of them or none."""
    page, markdown, pictures = to_html(report), report.to_markdown(), _pictures_csv(report)
    write_json(out / "report.json", report.to_dict())
    write_text(out / "report.md", markdown)
    write_text(out / "pictures.csv", pictures)
    write_text(out / "report.html", page)


def _pictures_csv(report: BenchReport) -> str:
    """One line a picture and engine."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "kind", "engine", "score", "threshold", "verdict"])
    for row in report.rows:
        for judgement in row.accuracy.judgements:
            verdict = "reject" if judgement.rejected else "pass"
            sample = judgement.sample
            writer.writerow([sample.path, sample.kind, row.name, judgement.score, row.threshold.value, verdict])
    return text.getvalue()


def check_budget(report: BenchReport) -> None:
    """Raises LatencyBudgetError where the recommended engine does not keep the budget."""
    budget, recommended = report.budget_ms, report.recommended
    if budget is None or recommended is None or report.row(recommended.engine).keeps(budget):
        return
    p99 = report.row(recommended.engine).latency.p99
    raise LatencyBudgetError(
        f"{recommended.engine} takes {p99:.1f} ms (P99), the budget is {budget:g} ms",
        "Try a lower precision, a smaller --size or a lighter --backbone.",
    )
