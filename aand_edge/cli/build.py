"""`aand-edge build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aand_edge.cli.options import (
    Backend,
    Batch,
    CategoryName,
    FalseRejects,
    Frame,
    Json,
    Layout,
    Locked,
    Model,
    Precision,
    Quantise,
)

if TYPE_CHECKING:
    from rich.console import Group

    from aand_edge.artifacts import EngineFacts, EngineManifest
    from aand_edge.artifacts import Precision as PrecisionName
    from aand_edge.cli.graphs import GraphFiles
    from aand_edge.config import Workspace
    from aand_edge.engines.base import Backend as Engines
    from aand_edge.engines.base import BuildOptions
    from aand_edge.engines.budget import BudgetReport, Measured


def command(
    model: Model = None,
    precision: Precision = None,
    backend: Backend = None,
    frame: Frame = None,
    batch: Batch = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Of a CPU engine; 0: the backend's choice.")] = None,
    target: Annotated[
        str | None, typer.Option(help="TensorRT-RTX: GPUs to build for without having one, say sm86,sm89,sm120.")
    ] = None,
    opt_level: Annotated[
        int | None, typer.Option(min=0, max=5, help="TensorRT: how long it searches for fast kernels.")
    ] = None,
    workspace_mb: Annotated[int | None, typer.Option(min=1, help="TensorRT: scratch memory of its kernels.")] = None,
    zero_copy: Annotated[
        bool | None, typer.Option("--zero-copy/--no-zero-copy", help="TensorRT on a Jetson: read frames in place.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Triton: triton://HOST:8001/MODEL, to be accepted as that server answers.")
    ] = None,
    quantise: Quantise = None,
    locked: Locked = False,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Points of image AUROC and of AUPRO that int8 may lose; exit code 5 where it cannot."),
    ] = None,
    max_flips: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --max-drop: share of verdicts that may differ.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="With --max-drop: test pictures to judge; synthetic anomalies by default."),
    ] = None,
    layout: Layout = None,
    category: CategoryName = None,
    false_rejects: FalseRejects = None,
    reuse: Annotated[bool, typer.Option("--reuse", help="Keep an engine that the same build made here.")] = False,
    as_json: Json = False,
) -> None:
    """Build an engine for this machine. It is accepted on held-out pictures and gets its own threshold."""
    from dataclasses import replace

    from aand_edge.cli.budget import BudgetRequest, search_regions
    from aand_edge.cli.graphs import Int8, Taken, find_graph
    from aand_edge.cli.options import checked_precision, parse_regions, refuse_without
    from aand_edge.config import Workspace
    from aand_edge.engines.budget import Budget
    from aand_edge.engines.registry import find_backend
    from aand_edge.evaluation.threshold import check_rate

    named_graph = model is not None and model.endswith(".onnx")
    refuse_without("--max-drop", max_drop is not None, data=data, layout=layout, category=category, max_flips=max_flips)
    if named_graph:
        _check_left_to_the_graph(str(model), frame, batch, quantise)
    workspace = Workspace.open()
    settings = workspace.settings
    asked = checked_precision(precision or settings.build.precision)
    refuse_without("--precision int8", asked == "int8", quantise=quantise, locked=locked or None)
    rate = settings.threshold.false_rejects if false_rejects is None else false_rejects
    check_rate(rate)
    budget = None if max_drop is None else Budget(max_drop, 1.0 if max_flips is None else max_flips)
    chosen = find_backend(backend or settings.build.backend)
    tensorrt = {"opt_level": opt_level, "workspace_mb": workspace_mb, "zero_copy": zero_copy}
    options = _options(workspace, chosen, asked, target, {"threads": threads, "server": server, **tensorrt})
    taken = Taken(frame, batch or settings.build.batch)
    regions = parse_regions(quantise, settings.build.quantise)
    int8 = Int8(regions, chosen.int8_weight_bits(), settings.calibrate, locked)
    report = None
    if budget is not None:
        _check_searchable(chosen, options, named_graph)
        search = BudgetRequest(model, taken, int8, budget, rate, data, layout, category)
        report = search_regions(workspace, chosen, options, search)
        int8 = replace(int8, regions=_chosen(report, as_json).regions)
    files = find_graph(workspace, model, asked, taken, int8)
    path, engine = _build(workspace, files, chosen, options, rate, reuse, report)
    _show(path, engine, report, as_json)


def _check_left_to_the_graph(graph: str, *options: object) -> None:
    """Raises UsageError for an option that a named graph has decided already."""
    from aand_edge.errors import UsageError

    if any(options):
        raise UsageError(
            f"{graph} has a frame, a batch and a quantisation of its own",
            "Leave --frame, --batch and --quantise out, or name the model.",
        )


def _check_searchable(backend: Engines, options: BuildOptions, named_graph: bool) -> None:
    """Raises UsageError where there is nothing that --max-drop could choose or measure."""
    from aand_edge.errors import UsageError

    if options.precision != "int8":
        raise UsageError(f"--max-drop is for int8 engines, {options.precision} was asked for", "Add --precision int8.")
    if named_graph:
        raise UsageError("--max-drop quantises a model's graphs itself", "Name the model, not one of its graphs.")
    if options.targets:
        raise UsageError("--max-drop measures on this machine, --target builds for others", "Leave one out.")
    if backend.name == "triton":
        raise UsageError("--max-drop builds engines, a server has its own", "Quantise before you export.")


def _build(
    workspace: Workspace,
    files: GraphFiles,
    backend: Engines,
    options: BuildOptions,
    false_rejects: float,
    reuse: bool,
    report: BudgetReport | None,
) -> tuple[Path, EngineFacts]:
    from aand_edge.artifacts import EngineManifest
    from aand_edge.cli.show import say, ticking
    from aand_edge.engines.build import BuildRequest, build_engine, engine_name

    before = _readable(workspace.engines / f"{engine_name(files.graph, backend, options.precision)}.json")
    request = BuildRequest(
        graph=files.graph,
        holdout=files.holdout,
        folder=workspace.engines,
        options=options,
        backend=backend.name,
        false_rejects=false_rejects,
        reuse=reuse,
        budget=report.model_dump(mode="json") if report else None,
    )
    with ticking("accept") as tick:
        path, engine = build_engine(request, tick)
    kept = before is not None and isinstance(engine, EngineManifest) and engine.threshold == before.threshold
    if before is not None and not kept and before.threshold.rule != "conformal":
        say(_lost(before))
    return path, engine


def _readable(manifest: Path) -> EngineManifest | None:
    """What an engine that is there already says of itself; None where there is none, or no more than a torn one."""
    from aand_edge.artifacts import EngineManifest
    from aand_edge.errors import ArtefactMismatchError

    try:
        return EngineManifest.read(manifest)
    except ArtefactMismatchError:
        return None


def _lost(replaced: EngineManifest) -> str:
    """How a threshold that someone chose comes back."""
    old = replaced.threshold
    options = {"manual": f"--set {old.value}", "rate": f"--rule rate --false-rejects {old.asked_false_rejects}"}
    return (
        f"the threshold {old.value:.4f} ({old.rule}) of the engine that this one replaces is gone: "
        f"`aand-edge threshold {replaced.name} {options.get(old.rule, f'--rule {old.rule}')}` sets it again"
    )


def _options(
    workspace: Workspace, backend: Engines, precision: PrecisionName, target: str | None, given: dict[str, Any]
) -> BuildOptions:
    """The options that were given, else the workspace's as far as this backend has them."""
    from aand_edge.engines.base import BuildOptions

    on_gpu = backend.name.startswith("tensorrt")
    own = ("opt_level", "workspace_mb", "zero_copy") if on_gpu else ("threads",) if backend.name != "triton" else ()
    settings = {name: getattr(workspace.settings.build, name) for name in own}
    values = settings | {name: value for name, value in given.items() if value is not None}
    if on_gpu:
        values["timing_cache"] = workspace.engines / f"{backend.name}-{backend.version()}.timings"
        values["log"] = workspace.engines / f"{backend.name}.build.log"
    targets = tuple(part.strip().lower() for part in (target or "").split(",") if part.strip())
    return BuildOptions(precision, targets=targets, **values)


def _show(path: Path, engine: EngineFacts, report: BudgetReport | None, as_json: bool) -> None:
    from rich.console import Group

    from aand_edge.artifacts import EngineManifest
    from aand_edge.cli.budget import budget_table
    from aand_edge.cli.show import answer

    table = _table(path, engine) if isinstance(engine, EngineManifest) else _pending_table(path, engine)
    shown = Group(budget_table(report), table) if report else table
    answer({"manifest": str(path), **engine.model_dump(mode="json")}, as_json, shown)


def _pending_table(path: Path, engine: EngineFacts) -> Group:
    from aand_edge.cli.show import facts

    rows = [
        ("engine", path.parent / engine.engine),
        ("built for", ", ".join(f"{value}" for value in engine.device.values())),
        ("note", engine.precision_note),
        (
            "next",
            f"copy {engine.name}.* and models/{engine.model} into a workspace on that machine and run "
            f"`aand-edge threshold {engine.name}` there: it judges nothing before it is accepted",
        ),
    ]
    return facts(engine.name, rows)


def _chosen(report: BudgetReport, as_json: bool) -> Measured:
    """The mixture that the search chose. Shows what was tried and raises AccuracyBudgetError where nothing fits."""
    from aand_edge.cli.budget import budget_table
    from aand_edge.cli.show import answer
    from aand_edge.errors import AccuracyBudgetError

    if report.chosen is not None:
        return report.chosen
    answer({"budget": report.model_dump(mode="json")}, as_json, budget_table(report))
    best = report.best
    lost = f"{best.drop(report.reference):.2f} points and {100 * best.flips:.1f} % of the verdicts"
    raise AccuracyBudgetError(
        f"No int8 engine keeps the budget; the best, {', '.join(best.regions)}, loses {lost}",
        f"Build it with --quantise {','.join(best.regions)}, allow more, or take --precision fp16.",
    )


def _table(path: Path, manifest: EngineManifest) -> Group:
    from aand_edge.cli.show import facts, promise

    acceptance, threshold = manifest.acceptance, manifest.threshold
    rows = [
        ("engine", path.parent / manifest.engine),
        ("runs in", ", ".join(f"{kind}: {count} layers" for kind, count in manifest.executed.items())),
        ("note", manifest.precision_note),
        ("device", manifest.device.get("device")),
        (
            f"accepted on {acceptance.pictures} pictures",
            f"scores differ from the model's by {acceptance.score_error_mean:.1e} on average, "
            f"{acceptance.score_error_max:.1e} at most; their own spread is {acceptance.score_spread:.2g}",
        ),
        ("threshold", f"{threshold.value:.4f}: {promise(threshold)}"),
        ("", threshold.note),
    ]
    return facts(manifest.name, [row for row in rows if row[1]])
