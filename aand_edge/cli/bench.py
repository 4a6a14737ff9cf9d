"""`aand-edge bench`."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aand_edge.cli.options import CategoryName, Data, Json, Layout
from aand_edge.errors import UsageError

if TYPE_CHECKING:
    from aand_edge.bench.contender import Contender
    from aand_edge.config import Workspace
    from aand_edge.data.layouts import Category


def command(
    engines: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names, files or triton://HOST:8001/MODEL; all of the workspace by default. --roofline: graphs too."
        ),
    ] = None,
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Timed runs an engine.")] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Runs before the first timed one.")] = None,
    budget_ms: Annotated[
        float | None, typer.Option(min=0, help="P99 that must be kept; exit code 6 where it is not.")
    ] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Measure each engine's PyTorch model beside them.")] = False,
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="Run nothing: compute from the graphs how fast chips could be at most."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
    as_json: Json = False,
) -> None:
    """Measure speed, memory and accuracy of engines side by side. Writes a report, with what each engine lost."""
    from aand_edge.bench.run import check_budget, run_bench
    from aand_edge.cli.lookup import find_places, folder_of_model, warn_of_older_weights
    from aand_edge.cli.options import check_folder, overridden, refuse_with
    from aand_edge.cli.roofline import show_rooflines
    from aand_edge.cli.show import answer, say, staging
    from aand_edge.config import Workspace
    from aand_edge.engines.load import checked_manifest, open_runner

    workspace = Workspace.open()
    if out is not None or not roofline:
        check_folder(out or workspace.benchmarks)
    if roofline:
        refuse_with("--roofline", data=data, layout=layout, category=category, eager=eager or None)
        refuse_with("--roofline", repeats=repeats, warmup=warmup, budget_ms=budget_ms)
        show_rooflines(workspace, engines or [], out, as_json)
        return
    chosen = {"repeats": repeats, "warmup": warmup, "budget_ms": budget_ms}
    settings = overridden(workspace.settings.bench, chosen, "bench")
    places = find_places(workspace, engines or [])
    warn_of_older_weights(workspace, places)
    contenders = [(checked_manifest(place), partial(open_runner, place)) for place in places]
    models = sorted({manifest.model for manifest, _ in contenders})
    folders = [folder_of_model(workspace, model) for model in models]
    parts = _pictures(workspace, folders, data, layout, category)
    where = out or workspace.benchmarks / f"{parts.name}-{datetime.now():%Y%m%d-%H%M%S}"
    with staging() as progress:
        report = run_bench(
            contenders,
            parts,
            repeats=settings.repeats,
            warmup=settings.warmup,
            budget_ms=settings.budget_ms,
            out=where,
            eager=_yardsticks(folders) if eager else (),
            progress=progress,
        )
    say(f"report: {where / 'report.html'}")
    answer(report.to_dict(), as_json, report.table())
    if not as_json:
        say(report.verdict())
    check_budget(report)


def _pictures(
    workspace: Workspace, folders: list[Path], data: Path | None, layout: str | None, category: str | None
) -> Category:
    """What all engines are judged on.

    Raises UsageError where their models are of several categories, or leave open which of their pictures to take.
    """
    from aand_edge.cli.lookup import trained_category

    found = [trained_category(workspace, folder, data, layout, category) for folder in folders]
    names = sorted({parts.name for parts in found})
    if len(names) > 1:
        raise UsageError(
            f"The engines are of models of several categories: {', '.join(names)}",
            "Bench the engines of one category at a time, by their names.",
        )
    roots = sorted({str(parts.root.resolve()) for parts in found})
    if len(roots) > 1:
        raise UsageError(
            f"The engines are of models that were trained on several folders: {', '.join(roots)}",
            "Name the test pictures with --data.",
        )
    return found[0]


def _yardsticks(folders: list[Path]) -> list[Contender]:
    """The PyTorch model of each folder."""
    from aand_edge.bench.eager import eager_contender

    return [eager_contender(folder) for folder in folders]
