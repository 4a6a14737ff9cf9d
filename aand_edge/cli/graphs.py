"""The fused graph that a command works on: one that lies there and is up to date, or one written now."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aand_edge.artifacts import CARD, ModelCard
from aand_edge.cli.lookup import find_model, parse_frame
from aand_edge.cli.show import say, ticking
from aand_edge.config import CalibrateSettings, Workspace
from aand_edge.errors import ArtefactMismatchError, MissingDependencyError, UsageError
from aand_edge.graph_facts import GraphFacts, check_seal, frame_of, graph_stem, holdout_path, read_holdout, stem_of

if TYPE_CHECKING:
    from aand_edge.artifacts import Precision
    from aand_edge.export.calibrate import CalibrationTable
    from aand_edge.export.export import Exported, ExportOptions


@dataclass(frozen=True)
class Int8:
    """How an int8 graph is quantised: the regions (None: the default ones), bits of its weights, the calibration."""

    regions: tuple[str, ...] | None = None
    weight_bits: int = 8
    calibration: CalibrateSettings = field(default_factory=CalibrateSettings)
    locked: bool = False


@dataclass(frozen=True)
class Taken:
    """What a graph is to take at a call, as the options --frame and --batch say it."""

    frame: str | None = None
    batch: int = 1


@dataclass(frozen=True)
class GraphFiles:
    """A fused graph and the held-out set beside it."""

    graph: Path
    holdout: Path


def find_graph(
    workspace: Workspace,
    model: str | None,
    precision: Precision,
    taken: Taken,
    int8: Int8 | None = None,
) -> GraphFiles:
    """The graph of that precision: a named ONNX file, or the model's, exported and quantised if need be.

    Raises ArtefactMismatchError, naming the node, where an engine would misread the graph.
    """
    if model is not None and model.endswith(".onnx"):
        files = _named(Path(model))
    elif precision == "int8":
        files = _quantised(workspace, find_model(workspace, model), taken, int8 or Int8())
    else:
        files = _exported(find_model(workspace, model), precision, taken)
    _check(files.graph)
    return files


def calibration_table(
    workspace: Workspace, fp32: GraphFiles, settings: CalibrateSettings, locked: bool = False
) -> tuple[Path, CalibrationTable]:
    """The table of an fp32 graph, in the workspace's calib/, and where it lies.

    Where no setting says how, the graph's newest table does: `build` follows what `calibrate` was told.
    """
    from aand_edge.export.calibrate import CalibrationOptions, calibrate, latest_options, table_path

    options = None if settings.model_fields_set else latest_options(workspace.calib, fp32.graph)
    if options is None:
        options = CalibrationOptions(settings.method, settings.percentile, settings.images, settings.anomalies)
    path = table_path(workspace.calib, fp32.graph, options)
    with ticking("calibrate") as tick:
        return path, calibrate(fp32.graph, fp32.holdout, path, options, locked=locked, say=say, progress=tick)


def _named(graph: Path) -> GraphFiles:
    if not graph.is_file():
        raise UsageError(f"There is no graph {graph}", "Write one with `aand-edge export`.")
    return GraphFiles(graph, holdout_path(graph.parent, stem_of(graph)))


def _check(graph: Path) -> None:
    check_seal(graph)
    try:
        from aand_edge.export.validate import validate
    except ModuleNotFoundError:  # a device has no onnx; the graph was checked where it was written
        return
    validate(graph).raise_for_problems(graph)


def _exported(folder: Path, precision: Precision, taken: Taken, like: GraphFacts | None = None) -> GraphFiles:
    """The model's graph and held-out set, written again where they are not of one export or not of these weights.

    like   a graph of the same model that it must agree with in channel order
    """
    files = _files(folder, precision, taken)
    there = _facts_of(files.graph)
    if there is None or not _serves(files, there, folder, taken, like):
        _export(folder, precision, taken, like or there, again=like is not None)
    else:
        check_seal(files.graph)
    return files


def _files(folder: Path, suffix: str, taken: Taken) -> GraphFiles:
    """What `export` calls the graph of a model and its held-out set: the model's name counts, not the folder's."""
    card = ModelCard.read(folder / CARD)
    stem = graph_stem(card.name, None if card.region else parse_frame(taken.frame), taken.batch)
    return GraphFiles(folder / f"{stem}.{suffix}.onnx", holdout_path(folder, stem))


def _quantised(workspace: Workspace, folder: Path, taken: Taken, int8: Int8) -> GraphFiles:
    try:
        import aand_edge.export.int8  # noqa: F401  (onnx is what a device lacks)
    except ModuleNotFoundError as error:
        return _copied_here(folder, taken, int8, str(error.name))
    fp32, fp16 = full_and_half(folder, taken)
    return GraphFiles(quantised_graph(workspace, fp32, fp16.graph, int8), fp32.holdout)


def full_and_half(folder: Path, taken: Taken) -> tuple[GraphFiles, GraphFiles]:
    """The fp32 graph, which is calibrated, and the fp16 graph, which is quantised: two precisions of one export."""
    half = _exported(folder, "fp16", taken)
    full = _exported(folder, "fp32", taken, GraphFacts.from_graph(half.graph))
    return full, half


def quantised_graph(workspace: Workspace, fp32: GraphFiles, fp16: Path, int8: Int8) -> Path:
    """The int8 graph of an fp16 graph, with ranges read from the fp32 one; written only where it is another."""
    from aand_edge.export.int8 import Quantisation, chosen_regions, int8_path, quantised_facts, write_int8

    facts = GraphFacts.from_graph(fp16)
    quantisation = Quantisation(chosen_regions(fp16, int8.regions), int8.weight_bits)
    _, table = calibration_table(workspace, fp32, int8.calibration, int8.locked)
    target = int8_path(fp16, quantisation)
    wanted = quantised_facts(facts, table.key, table.held_out, quantisation)
    there = _facts_of(target)
    if there is None or replace(there, format=wanted.format) != wanted or not _sound(target):
        write_int8(fp16, table, quantisation, target)
    return target


def _copied_here(folder: Path, taken: Taken, int8: Int8, missing: str) -> GraphFiles:
    """The int8 graph that was written elsewhere: this machine has no `missing` to write one with."""
    files = _files(folder, "int8" if int8.weight_bits == 8 else f"int8w{int8.weight_bits}", taken)
    there = _facts_of(files.graph)
    wanted = there is not None and int8.regions in (None, there.quantised)
    if there is not None and wanted and _serves(files, there, folder, taken):
        return files
    quantise = None if int8.regions is None else ",".join(int8.regions)
    raise _needs(folder, "int8", missing, taken, quantise=quantise, weight_bits=int8.weight_bits)


def _serves(
    files: GraphFiles,
    there: GraphFacts,
    folder: Path,
    taken: Taken,
    like: GraphFacts | None = None,
) -> bool:
    """Whether graph and held-out set are of one export, take that, and are of the weights that lie beside them."""
    card = ModelCard.read(folder / CARD)
    frame, roi = frame_of(card, parse_frame(taken.frame))
    wanted = (frame, roi, taken.batch, card.weights.get("sha256"))
    if (there.frame, there.roi, there.batch, there.weights) != wanted:
        return False
    if like is not None and there.colour != like.colour:
        return False
    try:
        read_holdout(files.holdout, there)
    except ArtefactMismatchError:
        return False
    return True


def _facts_of(graph: Path) -> GraphFacts | None:
    """None where there is no graph, an older version wrote it, or it is torn: it is written again."""
    try:
        return GraphFacts.from_graph(graph)
    except ArtefactMismatchError:
        return None


def _sound(graph: Path) -> bool:
    """Whether the file is as it was written, as far as it tells."""
    try:
        check_seal(graph)
    except ArtefactMismatchError:
        return False
    return True


def _export(folder: Path, precision: Precision, taken: Taken, like: GraphFacts | None, again: bool) -> None:
    try:
        from aand_edge.export.export import ExportOptions
    except ModuleNotFoundError as error:
        colour = "RGB" if like is not None and like.colour == "RGB" else None
        raise _needs(folder, precision, str(error.name), taken, colour=colour) from None
    options = ExportOptions(precision, parse_frame(taken.frame), batch=taken.batch)
    if like is not None:
        options = replace(options, colour="RGB" if like.colour == "RGB" else "BGR")
    write_graph_of(folder, options, again)


def write_graph_of(folder: Path, options: ExportOptions, again: bool = False) -> Exported:
    """Export with ticks on stderr; says where the frame is of another shape than the pictures.

    again   for the same command's second graph of these pictures, of which all has been said
    """
    from aand_edge.export.export import export_model

    with ticking(f"export {options.precision}") as tick:
        exported = export_model(folder, options, tick)
    if exported.stretched is not None and not again:
        (height, width), (frame_height, frame_width) = exported.stretched, exported.facts.frame
        say(
            f"the model was trained on pictures of {width}x{height}, and a frame of {frame_width}x{frame_height} is of "
            "another shape: the same part looks stretched in one of them; train on pictures of this camera"
        )
    return exported


def _needs(folder: Path, precision: str, missing: str, taken: Taken, **more: object) -> MissingDependencyError:
    """This machine cannot write the graph; what can is told with the whole command, `more` of its options included."""
    batch = taken.batch if taken.batch > 1 else None
    given = {"precision": precision, "frame": taken.frame, "batch": batch, **more}
    command = ["aand-edge", "export", ModelCard.read(folder / CARD).name]
    for name, value in given.items():
        command += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return MissingDependencyError(
        f"{folder} holds no {precision} graph for this, and writing one needs {missing}",
        f"Run `{shlex.join(command)}` where the model was trained and copy the folder here.",
    )
