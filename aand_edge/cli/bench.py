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
    from aand_edge.artifacts import EngineManifest
    from aand_edge.bench.contender import Contender, RunnerFactory
    from aand_edge.config import Workspace


def command(
    engines: Annotated[
        list[str] | None, typer.Argument(help="Names or files of engines; all of the workspace by default.")
    ] = None,
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Timed runs an engine.")] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Runs before the first timed one.")] = None,
    budget_ms: Annotated[
        float | None, typer.Option(min=0, help="P99 that must be kept; exit code 6 where it is not.")
    ] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Measure the PyTorch model beside the engines.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
    as_json: Json = False,
) -> None:
    """Measure engines side by side: FPS, latency, memory, accuracy and what it lost; writes a report to read."""
    from aand_edge.bench.run import run_bench
    from aand_edge.cli.lookup import trained_category
    from aand_edge.cli.show import answer, say, staging
    from aand_edge.config import Workspace

    workspace = Workspace.open()
    settings = workspace.settings.bench
    contenders, folder = _contenders(workspace, engines or [], eager, data)
    parts = trained_category(workspace, folder, data, layout, category)
    where = out or workspace.benchmarks / f"{parts.name}-{datetime.now():%Y%m%d-%H%M%S}"
    with staging() as progress:
        report = run_bench(
            contenders,
            parts,
            repeats=settings.repeats if repeats is None else repeats,
            warmup=settings.warmup if warmup is None else warmup,
            budget_ms=settings.budget_ms if budget_ms is None else budget_ms,
            out=where,
            eager=_yardstick(folder) if eager else None,
            progress=progress,
        )  # a budget that is missed is told with the report's path
    say(f"report: {where / 'report.html'}")
    answer(report.to_dict(), as_json, report.table())
    if not as_json:
        say(report.verdict())


def _contenders(
    workspace: Workspace, names: list[str], eager: bool, data: Path | None
) -> tuple[list[tuple[EngineManifest, RunnerFactory]], Path]:
    """The named engines, or all of the workspace, and the folder of their model, the first where there are several.

    Raises UsageError where several models leave open which pictures or which yardstick to take.
    """
    from aand_edge.cli.lookup import find_engines, folder_of_model
    from aand_edge.engines.load import open_runner, read_manifest

    paths = find_engines(workspace, names)
    manifests = [read_manifest(path) for path in paths]
    models = sorted({manifest.model for manifest in manifests})
    if len(models) > 1 and eager:
        raise UsageError(f"--eager is for engines of one model, these are of {', '.join(models)}", "Name the engines.")
    if len(models) > 1 and data is None:
        raise UsageError(
            f"The engines are of several models: {', '.join(models)}", "Name the test pictures with --data."
        )
    loaders = [partial(open_runner, path) for path in paths]
    return list(zip(manifests, loaders, strict=True)), folder_of_model(workspace, models[0])


def _yardstick(folder: Path) -> Contender:
    from aand_edge.bench.eager import eager_contender

    return eager_contender(folder)
