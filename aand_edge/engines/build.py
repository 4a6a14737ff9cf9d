"""Building an engine: build, load it back, accept it on held-out pictures, give it a threshold of its own."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import (
    FALSE_REJECTS,
    Acceptance,
    EngineFacts,
    EngineManifest,
    PendingEngine,
    Precision,
    atomic_path,
    sha256_file,
)
from aand_edge.data.pictures import brightness
from aand_edge.data.resize import crop
from aand_edge.engines.base import Backend, BuildOptions, BuiltEngine, Runner, filled
from aand_edge.engines.load import check_engine, check_file, check_weight_bits, export_command, open_engine
from aand_edge.engines.registry import find_backend
from aand_edge.engines.triton.uri import TritonUri
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError, UsageError
from aand_edge.evaluation.threshold import check_rate, held_out_threshold
from aand_edge.graph_facts import GraphFacts, read_holdout, stem_of
from aand_edge.holdout import HoldoutSet, calibration_rows

Progress = Callable[[int, int], None]

LOCK = ".lock"

# An engine whose scores are off by this share of their own spread no longer ranks parts as the model does.
WORST_DISORDER = 0.25
LEAST_SPREAD = 1e-3  # of scores, where held-out pictures are all alike


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and how many good parts the engine's threshold may reject."""

    graph: Path
    holdout: Path
    folder: Path
    options: BuildOptions
    backend: str = "auto"
    false_rejects: float = FALSE_REJECTS
    reuse: bool = False
    budget: dict[str, Any] | None = None  # the search that chose what is quantised, for the manifest


def build_engine(
    request: BuildRequest, progress: Progress | None = None
) -> tuple[Path, EngineManifest] | tuple[Path, PendingEngine]:
    """Write an engine and its manifest, both or neither; returns the manifest's path and content.

    An engine that cannot run on this machine is left pending: `accept_engine` writes its manifest where it runs.

    Raises UsageError for a rate that is none or a graph of another precision, AandEdgeError where the engine does not
    answer as the model does; then what lay there before is left as it was.
    """
    check_rate(request.false_rejects)
    graph = GraphFacts.from_graph(request.graph)
    if graph.precision != request.options.precision:
        raise UsageError(
            f"{request.graph} is an {graph.precision} graph, {request.options.precision} was asked for",
            f"Write the other with `{export_command(graph, request.options.precision)}`.",
        )
    holdout = read_holdout(request.holdout, graph)
    backend = find_backend(request.backend)
    if graph.precision == "int8":
        again = export_command(graph, "int8", backend.int8_weight_bits())
        check_weight_bits(request.graph, graph.weight_bits, backend, f"Write the graph again: `{again}`.")
    name = engine_name(request.graph, backend, graph.precision)
    manifest_path = request.folder / f"{name}.json"
    if request.reuse and (existing := _reusable(request, backend, manifest_path)):
        return manifest_path, existing
    if request.reuse and (waiting := _waiting(request, backend, pending_path(manifest_path))):
        return pending_path(manifest_path), waiting
    built = backend.build(request.graph, request.options)
    engine = request.folder / f"{name}{backend.suffix}"
    facts = engine_facts(request.graph, engine.name, backend, built, request.budget)
    if not _runs_here(backend, built.device):
        return _leave_pending(request, engine, built, facts)
    with one_build_at_a_time(request.folder), atomic_path(manifest_path) as record, atomic_path(engine) as candidate:
        candidate.write_bytes(built.plan)
        with backend.load(candidate, built.options) as runner:
            manifest = accept_runner(facts, runner, holdout, request.false_rejects, progress)
        manifest.write(record)
    pending_path(engine).unlink(missing_ok=True)
    return manifest_path, manifest


def _runs_here(backend: Backend, device: Mapping[str, str]) -> bool:
    """Whether an engine that is bound to these facts can be loaded on this machine."""
    return backend.runnable() is None and not backend.differences(device)


def engine_name(graph: Path, backend: Backend, precision: Precision) -> str:
    """What an engine of that graph is called, and its manifest."""
    return f"{stem_of(graph)}.{backend.name}.{precision}"


def accept_engine(
    pending: Path, holdout: Path, false_rejects: float, progress: Progress | None = None
) -> tuple[Path, EngineManifest]:
    """Accept an engine that was built elsewhere, on the machine that runs it; its manifest takes `pending`'s place.

    Raises as `build_engine`, and ArtefactMismatchError where the engine is not for this machine.
    """
    waiting = PendingEngine.read(pending)
    facts = EngineFacts(**waiting.model_dump(exclude={"holdout"}))
    with open_engine(pending.parent / waiting.engine, facts) as runner:
        manifest = accept_runner(facts, runner, read_holdout(holdout, facts), false_rejects, progress)
    path = pending.parent / f"{waiting.name}.json"
    manifest.write(path)
    pending.unlink()
    return path, manifest


def pending_path(engine: Path) -> Path:
    """NAME.plan or NAME.json → NAME.pending, beside it."""
    return engine.with_suffix(".pending")


def _leave_pending(
    request: BuildRequest, engine: Path, built: BuiltEngine, facts: EngineFacts
) -> tuple[Path, PendingEngine]:
    waiting = PendingEngine(**facts.model_dump(), holdout=request.holdout.name)
    record = pending_path(engine)
    with one_build_at_a_time(request.folder), atomic_path(record) as written, atomic_path(engine) as candidate:
        candidate.write_bytes(built.plan)
        waiting.write(written)
    (request.folder / f"{facts.name}.json").unlink(missing_ok=True)  # of an engine that this one replaced
    return record, waiting


def accept_runner(
    facts: EngineFacts, runner: Runner, holdout: HoldoutSet, false_rejects: float, progress: Progress | None = None
) -> EngineManifest:
    """The manifest of a loaded engine: how it answered on the held-out pictures, and its threshold.

    Raises AandEdgeError where it does not answer as the model does.
    """
    scores = score_frames(runner, holdout.frames, facts.batch, progress)
    calibrated = calibration_rows(len(scores), facts.calibrated_on)
    threshold = held_out_threshold(scores, calibrated, false_rejects)
    own = held_out_threshold(holdout.scores, calibrated, false_rejects)
    flips = int((threshold.rejects(scores) != own.rejects(holdout.scores)).sum())
    looked_at = [frame if holdout.roi is None else crop(frame, holdout.roi) for frame in holdout.frames]
    acceptance = accept(scores, holdout.scores, flips, measured=facts.budget is not None)
    acceptance = acceptance.model_copy(update={"brightness": [brightness(each) for each in looked_at]})
    return EngineManifest(**facts.model_dump(), acceptance=acceptance, threshold=threshold)


@contextmanager
def one_build_at_a_time(folder: Path) -> Iterator[None]:
    """Waits for another build into the same folder, so that engine and manifest always come from one build.

    Windows has no such lock; there a race ends in an engine that its manifest's SHA-256 refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def score_frames(
    runner: Runner, frames: NDArray[np.uint8], batch: int, progress: Progress | None = None
) -> NDArray[np.float32]:
    """float32 (N,): the scores of uint8 (N, H, W, 3) frames; the last batch is filled up with its last frame.

    Raises AandEdgeError where a map is not finite.
    """
    scores = []
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        outputs = runner.infer(filled(part, batch))
        if not np.isfinite(outputs.anomaly_map).all():
            raise AandEdgeError("The engine answers with maps that are not finite", "Build it with --precision fp32.")
        scores.append(outputs.score[: len(part)])
        if progress:
            progress(min(start + batch, len(frames)), len(frames))
    return np.concatenate(scores)


def accept(
    scores: NDArray[np.float32],
    reference: NDArray[np.float32],
    flips: int,
    measured: bool = False,
) -> Acceptance:
    """Compare an engine's scores with the model's.

    flips      how many of the verdicts differ
    measured   the engine's accuracy was measured and found within its budget, which tells more than good parts do

    Raises AandEdgeError where scores are broken or, if nothing was measured, too far off.
    """
    if not np.isfinite(scores).all():
        raise AandEdgeError("The engine answers with scores that are not finite", "Build it with --precision fp32.")
    difference = scores - reference
    error, spread = np.abs(difference), float(reference.std())
    # A shift of all scores is what the engine's own threshold takes up; what is left disturbs their order.
    disorder = float(np.abs(difference - np.median(difference)).mean())
    if disorder > WORST_DISORDER * max(spread, LEAST_SPREAD) and not measured:
        raise AandEdgeError(
            f"The engine's scores are off by {disorder:.3g} beyond a shift; the parts' own spread is {spread:.3g}",
            "It was not kept. Build it with --precision fp32, or int8 with --max-drop, which measures what is lost.",
        )
    return Acceptance(
        pictures=len(scores),
        score_error_mean=float(error.mean()),
        score_error_max=float(error.max()),
        score_spread=spread,
        flips=flips,
        scores=[float(score) for score in scores],
    )


def _reusable(request: BuildRequest, backend: Backend, manifest_path: Path) -> EngineManifest | None:
    """The engine that lies there, if the same build on the same machine would make it again."""
    try:
        manifest = EngineManifest.read(manifest_path)
        check_engine(request.folder / manifest.engine, manifest, backend)
    except (ArtefactMismatchError, MissingDependencyError):  # the latter: the GPU that it belongs to is not here
        return None
    threshold = manifest.threshold  # one of another rule was set on purpose, and is kept
    kept = threshold.rule != "conformal" or threshold.asked_false_rejects == request.false_rejects
    return manifest if kept and _same_build(request, manifest) else None


def _waiting(request: BuildRequest, backend: Backend, record: Path) -> PendingEngine | None:
    """The engine that waits there for another machine, if the same build would leave it there again."""
    try:
        waiting = PendingEngine.read(record)
        check_file(request.folder / waiting.engine, waiting, backend)
    except ArtefactMismatchError:
        return None
    again = waiting.holdout == request.holdout.name and _same_build(request, waiting)
    return waiting if again and not _runs_here(backend, waiting.device) else None


def _same_build(request: BuildRequest, built: EngineFacts) -> bool:
    """Whether an engine was built from this graph with these options."""
    asked = dict(request.options.__dict__)
    if asked["server"]:
        asked["server"] = str(TritonUri.parse(asked["server"]))  # with its port, as the engine's facts name it
    return (
        built.graph_sha256 == sha256_file(request.graph)
        and all(built.options[name] == asked[name] for name in built.options.keys() & asked.keys())
        and tuple(built.device.get("targets", "").split()) == request.options.targets
        and (built.budget is None) == (request.budget is None)
    )


def engine_facts(
    graph: Path, engine: str, backend: Backend, built: BuiltEngine, budget: dict[str, Any] | None = None
) -> EngineFacts:
    """What an engine is that was built of a graph, as its manifest records it.

    engine   name of its file
    budget   as in `BuildRequest`
    """
    facts = GraphFacts.from_graph(graph)
    return EngineFacts(
        name=engine_name(graph, backend, facts.precision),
        model=facts.name,
        engine=engine,
        engine_sha256=hashlib.sha256(built.plan).hexdigest(),
        graph=graph.name,
        graph_sha256=sha256_file(graph),
        weights=facts.weights,
        size=facts.size,
        frame=facts.frame,
        colour=facts.colour,
        roi=facts.roi,
        batch=facts.batch,
        precision=facts.precision,
        executed=dict(built.executed),
        precision_note=built.note,
        backend=backend.name,
        backend_version=backend.version(),
        device=dict(built.device),
        options=dict(built.options),
        calibration=facts.calibration or None,
        calibrated_on=facts.calibrated_on,
        quantised=facts.quantised,
        weight_bits=facts.weight_bits if facts.precision == "int8" else None,
        budget=budget,
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
