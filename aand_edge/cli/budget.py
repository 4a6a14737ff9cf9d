"""`aand-edge build --max-drop`: the search for regions that may be quantised, and its table."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from aand_edge.cli.graphs import Int8, Taken
    from aand_edge.config import Workspace
    from aand_edge.engines.base import Backend, BuildOptions
    from aand_edge.engines.budget import Budget, BudgetReport, Measured


@dataclass(frozen=True)
class BudgetRequest:
    """What is to be searched; `data` is a labelled data set, None: held-out pictures with synthetic anomalies."""

    model: str | None
    taken: Taken
    int8: Int8
    budget: Budget
    false_rejects: float
    data: Path | None
    layout: str | None
    category: str | None


def search_regions(
    workspace: Workspace, backend: Backend, options: BuildOptions, request: BudgetRequest
) -> BudgetReport:
    """Measure regions and mixtures of them on this machine."""
    from aand_edge.cli.graphs import calibration_table, full_and_half
    from aand_edge.cli.lookup import find_model, trained_category
    from aand_edge.cli.show import ticking
    from aand_edge.engines.budget import search
    from aand_edge.export.int8 import chosen_regions
    from aand_edge.export.trials import Trials, labelled_set, synthetic_set
    from aand_edge.graph_facts import GraphFacts, read_holdout

    folder = find_model(workspace, request.model)
    parts = None
    if request.data is not None:  # first: another category is told before anything is measured
        parts = trained_category(workspace, folder, request.data, request.layout, request.category)
    fp32, fp16 = full_and_half(folder, request.taken)
    _, table = calibration_table(workspace, fp32, request.int8.calibration, request.int8.locked)
    facts = GraphFacts.from_graph(fp32.graph)
    judged = labelled_set(parts, facts) if parts else synthetic_set(read_holdout(fp32.holdout, facts), facts)
    regions = chosen_regions(fp16.graph, request.int8.regions)
    with tempfile.TemporaryDirectory() as scratch, ticking("budget") as tick:
        trials = Trials(backend, options, fp16.graph, judged, request.false_rejects, Path(scratch))
        reference = trials.reference(fp32.graph)

        def measure(mixture: tuple[str, ...]) -> Measured:
            return trials.measure(mixture, table)

        return search(measure, reference, regions, request.budget, judged.description, tick)


def budget_table(report: BudgetReport) -> Table:
    """What each region costs alone, then the mixtures that were tried; the chosen one in bold."""
    from rich.table import Table

    table = Table(title=f"Budget: {report.max_drop:g} points, on {report.pictures}", title_justify="left")
    for heading in ("quantised", "image AUROC", "AUPRO", "drop, points", "flips", "map error", "ms"):
        table.add_column(heading, justify="left" if heading == "quantised" else "right")
    table.add_row("nothing (fp32)", *_cells(report.reference, report.reference))
    for each in report.alone:
        style = "bold" if each == report.chosen else None
        table.add_row(f"{each.regions[0]} alone", *_cells(each, report.reference), style=style)
    table.add_section()
    everything = report.mixtures[0].regions
    for each in report.mixtures:
        left_out = [region for region in everything if region not in each.regions]
        name = "all of these" + (f" but {', '.join(left_out)}" if left_out else "")
        table.add_row(name, *_cells(each, report.reference), style="bold" if each == report.chosen else None)
    table.caption = report.note or None
    return table


def _cells(each: Measured, reference: Measured) -> list[str]:
    figures = ["–" if figure is None else f"{figure:.4f}" for figure in (each.image_auroc, each.aupro)]
    return [
        *figures,
        f"{each.drop(reference):.2f}",
        f"{100 * each.flips:.1f} %",
        f"{each.map_error:.1e}",
        f"{each.latency_ms:.1f}",
    ]
