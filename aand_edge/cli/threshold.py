"""`aand-edge threshold`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from aand_edge.cli.options import CategoryName, Data, FalseRejects, Json, Layout
from aand_edge.errors import AandEdgeError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from aand_edge.artifacts import EngineManifest, Threshold
    from aand_edge.config import Workspace
    from aand_edge.data.layouts import Category


def command(
    engine: Annotated[str | None, typer.Argument(help="Name of an engine; all of the workspace by default.")] = None,
    rule: Annotated[
        str | None, typer.Option(help="conformal (held-out good parts), the default; f1 or rate (labelled test parts).")
    ] = None,
    false_rejects: FalseRejects = None,
    value: Annotated[float | None, typer.Option("--set", help="Set this value, promising nothing.")] = None,
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    as_json: Json = False,
) -> None:
    """Set an engine's threshold anew. An engine built elsewhere for this machine is accepted.

    Each engine has a threshold of its own: scores shift with the precision.
    """
    from aand_edge.artifacts import Threshold
    from aand_edge.cli.lookup import find_engines, folder_of_model, trained_category, warn_of_older_weights
    from aand_edge.cli.show import answer, facts, promise
    from aand_edge.config import Workspace
    from aand_edge.engines.load import read_manifest
    from aand_edge.evaluation.threshold import check_rate

    _check_together(rule, value, false_rejects, foreign=any((data, layout, category)))
    engine = engine and engine.removesuffix(".pending")
    workspace = Workspace.open()
    rate = workspace.settings.threshold.false_rejects if false_rejects is None else false_rejects
    check_rate(rate, lowest_allowed=rule == "rate")
    accept_pending(workspace, engine, rate)
    found: dict[str, Threshold] = {}
    paths = find_engines(workspace, [engine] if engine else [])
    warn_of_older_weights(workspace, paths)
    if value is not None and engine is None and len(paths) > 1:
        raise UsageError("--set is for one engine: scores shift with the precision", "Name the engine.")
    for path in paths:
        manifest = read_manifest(path)
        if value is not None:
            manifest.threshold = Threshold(value=value, rule="manual")
        elif rule in (None, "conformal"):
            manifest.threshold = _from_held_out(manifest, rate)
        else:
            model = folder_of_model(workspace, manifest.model)
            parts = trained_category(workspace, model, data, layout, category)
            read = _from_labels(path, parts, rate if rule == "rate" else None)
            manifest.threshold = read.model_copy(update={"note": f"{read.note} {_foreign(model, parts)}".strip()})
        manifest.write(path)
        found[manifest.name] = manifest.threshold
    rows = [
        row
        for name, each in found.items()
        for row in ((name, f"{each.value:.4f}: {promise(each)}"), ("", each.note))
        if row[1]
    ]
    answer({name: each.model_dump() for name, each in found.items()}, as_json, facts("threshold", rows))


def _check_together(rule: str | None, value: float | None, false_rejects: float | None, foreign: bool) -> None:
    """Raises UsageError for options that do not go together. `foreign`: pictures were named."""
    if rule not in (None, "conformal", "f1", "rate"):
        raise UsageError(f"There is no rule '{rule}'", "Choose conformal, f1 or rate.")
    if value is not None and not math.isfinite(value):
        raise UsageError(f"A threshold of {value} judges nothing", "Give --set a finite number.")
    if value is not None and value < 0:
        raise UsageError(f"A threshold of {value} rejects every part: no score is below 0", "Give --set 0 or more.")
    if value is not None and (rule is not None or false_rejects is not None):
        raise UsageError("--set takes the value as it is", "Leave --rule and --false-rejects out.")
    if rule in (None, "conformal") and foreign:
        raise UsageError("--data, --layout and --category are for --rule f1 and rate", "Add one, or leave them out.")
    if rule == "f1" and false_rejects is not None:
        raise UsageError("--false-rejects has no effect on --rule f1", "Leave it out, or take --rule rate.")


def accept_pending(workspace: Workspace, engine: str | None, false_rejects: float) -> None:
    """Accept the named engine where it waits for it, or all of the workspace that can be accepted here.

    Raises what keeps a named one from being accepted; of the others it is said.
    """
    from aand_edge.cli.show import say

    for pending in sorted(workspace.engines.glob("*.pending")):
        if pending.name.startswith(".") or engine not in (None, pending.stem):  # a build is just writing that one
            continue
        try:
            _accept(workspace, pending, false_rejects)
        except AandEdgeError as error:
            if engine is not None:
                raise
            say(f"not accepted: {pending.stem}: {error}")
        else:
            say(f"accepted on this machine: {pending.stem}")


def _accept(workspace: Workspace, pending: Path, false_rejects: float) -> None:
    from aand_edge.artifacts import PendingEngine
    from aand_edge.cli.lookup import folder_of_model
    from aand_edge.cli.show import ticking
    from aand_edge.engines.build import accept_engine

    waiting = PendingEngine.read(pending)
    with ticking(f"accept {waiting.name}") as tick:
        accept_engine(pending, folder_of_model(workspace, waiting.model) / waiting.holdout, false_rejects, tick)


def _from_held_out(manifest: EngineManifest, rate: float) -> Threshold:
    import numpy as np

    from aand_edge.evaluation.threshold import held_out_threshold
    from aand_edge.holdout import calibration_rows

    scores = np.array(manifest.acceptance.scores)
    return held_out_threshold(scores, calibration_rows(len(scores), manifest.calibrated_on), rate)


def _foreign(model: Path, parts: Category) -> str:
    """What the threshold's note keeps where it was read from pictures of another name than the model's."""
    from aand_edge.artifacts import CARD, ModelCard

    trained_on = ModelCard.read(model / CARD).data["category"]
    if parts.name == trained_on:
        return ""
    return f"It was read from pictures of {parts.name}; the model was trained on {trained_on}."


def _from_labels(path: Path, parts: Category, rate: float | None) -> Threshold:
    """The threshold of the best F1 on the test parts, or that which rejects at most `rate` of the good ones.

    Scores and labels are enough: a device has no scikit-learn. Raises UsageError where the test parts cannot do,
    before the engine is loaded.
    """
    import numpy as np

    from aand_edge.bench.accuracy import judge
    from aand_edge.bench.contender import Contender
    from aand_edge.cli.show import ticking
    from aand_edge.engines.load import load_engine
    from aand_edge.evaluation.threshold import check_labels, f1_threshold, rate_threshold

    anomalous = np.array([sample.anomalous for sample in parts.test], dtype=bool)
    check_labels(anomalous, "f1" if rate is None else "rate")
    manifest, runner = load_engine(path)
    with runner, ticking(manifest.name) as tick:
        contender = Contender.from_manifest(manifest, lambda: runner)
        scores = []
        for judgement, _, _ in judge(runner, contender, parts.test):
            scores.append(judgement.score)
            tick(len(scores), len(parts.test))
    found = np.array(scores)
    return f1_threshold(found, anomalous) if rate is None else rate_threshold(found, anomalous, rate)
