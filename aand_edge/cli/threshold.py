"""`aand-edge threshold`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from aand_edge.cli.options import CategoryName, Data, FalseRejects, Json, Layout
from aand_edge.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from aand_edge.artifacts import EngineManifest, Threshold
    from aand_edge.config import Workspace


def command(
    engine: Annotated[str | None, typer.Argument(help="Name of an engine; all of the workspace by default.")] = None,
    rule: Annotated[
        str, typer.Option(help="conformal (held-out good parts), f1 or rate (labelled test parts).")
    ] = "conformal",
    false_rejects: FalseRejects = None,
    value: Annotated[float | None, typer.Option("--set", help="Set this value, promising nothing.")] = None,
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    as_json: Json = False,
) -> None:
    """Set an engine's threshold anew, and accept an engine that was built elsewhere for this machine.

    Each engine has a threshold of its own: scores shift with the precision.
    """
    from aand_edge.artifacts import Threshold
    from aand_edge.cli.lookup import find_engines, trained_category
    from aand_edge.cli.show import answer, facts
    from aand_edge.config import Workspace
    from aand_edge.engines.load import read_manifest

    if rule not in ("conformal", "f1", "rate"):
        raise UsageError(f"There is no rule '{rule}'", "Choose conformal, f1 or rate.")
    if value is not None and not math.isfinite(value):
        raise UsageError(f"A threshold of {value} judges nothing", "Give --set a finite number.")
    workspace = Workspace.open()
    rate = workspace.settings.threshold.false_rejects if false_rejects is None else false_rejects
    accept_pending(workspace, engine, rate)
    found: dict[str, Threshold] = {}
    for path in find_engines(workspace, [engine] if engine else []):
        manifest = read_manifest(path)
        if value is not None:
            manifest.threshold = Threshold(value=value, rule="manual")
        elif rule == "conformal":
            manifest.threshold = _from_held_out(manifest, rate)
        else:
            parts = trained_category(workspace, workspace.models / manifest.model, data, layout, category)
            manifest.threshold = _from_labels(path, manifest, parts, rule, rate)
        manifest.write(path)
        found[manifest.name] = manifest.threshold
    rows = [(name, f"{each.value:.4f}  {each.rule}  {each.note}") for name, each in found.items()]
    answer({name: each.model_dump() for name, each in found.items()}, as_json, facts("threshold", rows))


def accept_pending(workspace: Workspace, engine: str | None, false_rejects: float) -> None:
    """Accept the engines of the workspace that wait for it, or the named one."""
    from aand_edge.artifacts import PendingEngine
    from aand_edge.cli.show import say, ticking
    from aand_edge.engines.build import accept_engine

    for pending in sorted(workspace.engines.glob("*.pending")):
        if engine in (None, pending.stem, pending.name):
            waiting = PendingEngine.read(pending)
            with ticking(f"accept {waiting.name}") as tick:
                accept_engine(pending, workspace.models / waiting.model / waiting.holdout, false_rejects, tick)
            say(f"accepted on this machine: {waiting.name}")


def _from_held_out(manifest: EngineManifest, rate: float) -> Threshold:
    import numpy as np

    from aand_edge.evaluation.threshold import conformal_threshold

    return conformal_threshold(np.array(manifest.acceptance.scores), rate)


def _from_labels(path: Path, manifest: EngineManifest, parts: object, rule: str, rate: float) -> Threshold:
    import numpy as np

    from aand_edge.bench.accuracy import judge_split
    from aand_edge.bench.contender import Contender
    from aand_edge.cli.show import ticking
    from aand_edge.data.layouts import Category
    from aand_edge.engines.load import load_engine
    from aand_edge.evaluation.threshold import f1_threshold, rate_threshold

    assert isinstance(parts, Category)
    manifest, runner = load_engine(path)
    with runner, ticking(manifest.name) as tick:
        contender = Contender.from_manifest(manifest, lambda: runner)
        judgements = judge_split(runner, contender, parts.test, tick).judgements
    scores = np.array([judgement.score for judgement in judgements])
    anomalous = np.array([judgement.sample.anomalous for judgement in judgements])
    return f1_threshold(scores, anomalous) if rule == "f1" else rate_threshold(scores, anomalous, rate)
