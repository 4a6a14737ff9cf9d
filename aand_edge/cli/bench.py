"""`aand-edge bench`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from aand_edge.cli.options import CategoryName, Data, Json, Layout
from aand_edge.errors import UsageError


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
    from functools import partial

    from aand_edge.bench.run import run_bench
    from aand_edge.cli.lookup import find_engines, trained_category
    from aand_edge.cli.show import answer, say, staging
    from aand_edge.config import Workspace
    from aand_edge.engines.load import open_runner, read_manifest

    workspace = Workspace.open()
    settings = workspace.settings.bench
    paths = find_engines(workspace, engines or [])
    manifests = [read_manifest(path) for path in paths]
    models = sorted({manifest.model for manifest in manifests})
    folder = workspace.models / models[0]
    if eager and len(models) > 1:
        raise UsageError(f"--eager is for engines of one model, these are of {', '.join(models)}", "Name the engines.")
    if len(models) > 1 and data is None and workspace.settings.data.root is None:
        raise UsageError(
            f"The engines are of several models: {', '.join(models)}", "Name the test pictures with --data."
        )
    parts = trained_category(workspace, folder, data, layout, category)
    yardstick = None
    if eager:
        from aand_edge.bench.eager import eager_contender

        yardstick = eager_contender(folder)
    where = out or workspace.benchmarks / f"{parts.name}-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        with staging() as progress:
            report = run_bench(
                [(manifest, partial(open_runner, path)) for manifest, path in zip(manifests, paths, strict=True)],
                parts,
                repeats=settings.repeats if repeats is None else repeats,
                warmup=settings.warmup if warmup is None else warmup,
                budget_ms=settings.budget_ms if budget_ms is None else budget_ms,
                out=where,
                eager=yardstick,
                progress=progress,
            )
    finally:
        if (where / "report.html").is_file():
            say(f"report: {where / 'report.html'}")
    answer(report.to_dict(), as_json, report.table())
    if not as_json:
        say(report.verdict())
