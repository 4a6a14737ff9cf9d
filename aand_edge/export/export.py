"""`aand-edge export`: a trained model becomes a fused graph, and the held-out pictures an acceptance set beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aand_edge.artifacts import Precision, atomic_path
from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import Roi, crop, resize, resize_float, resize_matrix
from aand_edge.errors import DataError, UsageError
from aand_edge.export.graph import write_graph
from aand_edge.export.overflow import Overflow, find_overflows, regions_to_keep
from aand_edge.export.parity import Parity, check_parity, reference
from aand_edge.graph_facts import GraphFacts, frame_of, graph_stem, holdout_path
from aand_edge.holdout import HoldoutSet
from aand_edge.model.aand import Aand
from aand_edge.model.fused import Colour, FrameGeometry, FusedAand
from aand_edge.training.checkpoint import load_model

# How many held-out pictures travel with the graph: enough for calibration and a false-reject rate of 1 % beside it,
# which needs 99, as long as they stay this small; of larger frames fewer.
MOST_HOLDOUT, FEWEST_HOLDOUT = 128, 64
HOLDOUT_BYTES = 1 << 29

SAME_SHAPE = 0.02  # how far the ratios of two pictures' sides may lie apart: a pixel row more is no other camera
MOST_FRAMES = 64  # of a call: more cameras than one machine serves; what a call holds grows with them


@dataclass(frozen=True)
class ExportOptions:
    """What a graph may be asked for.

    frame   width and height of the camera's frame, where the graph is to resize it; None: S × S. The graph of a model
            of a region takes the frame that the region is one of
    """

    precision: Precision = "fp32"
    frame: tuple[int, int] | None = None
    colour: Colour = "BGR"
    batch: int = 1


@dataclass(frozen=True)
class Exported:
    """What was written, and how near it is to the PyTorch model.

    overflows   why some regions of a half trunk stay in float32
    stretched   height and width of a held-out picture that is not of the frame's shape: parts look otherwise in it
    """

    graph: Path
    holdout: Path
    facts: GraphFacts
    parity: Parity
    overflows: tuple[Overflow, ...] = ()
    stretched: tuple[int, int] | None = None


def export_model(folder: Path, options: ExportOptions, progress: Callable[[int, int], None] | None = None) -> Exported:
    """Write NAME.PRECISION.onnx and NAME.holdout.npz into the model's folder.

    The graph is moved into place only when it agrees with the PyTorch model on the held-out pictures.
    """
    if options.precision == "int8":
        raise UsageError("A graph is exported as fp32 or fp16", "Take --precision fp32 or fp16.")
    if options.batch < 1:
        raise UsageError(f"A batch of {options.batch} is too small", "Take --batch 1 or more.")
    if options.batch > MOST_FRAMES:
        raise UsageError(
            f"A batch of {options.batch} is too large: it holds a frame of each camera that shares the engine",
            f"Take --batch {MOST_FRAMES} or fewer.",
        )
    model, card = load_model(folder)
    frame, roi = frame_of(card, options.frame)
    geometry = _geometry(frame, roi, model.size) if card.region or options.frame else None
    facts = GraphFacts(
        name=card.name,
        backbone=card.backbone,
        size=card.size,
        frame=frame,
        colour=options.colour,
        precision=options.precision,
        weights=str(card.weights["sha256"]),
        batch=options.batch,
        roi=roi,
    )
    names = _drawn(card.holdout, 3 * frame[0] * frame[1])
    frames, shapes = _holdout_frames(Path(card.data["root"]), names, frame)
    stretched = _of_another_shape(shapes, frame) if options.frame else None
    expected = reference(model, _as_network_sees(frames, geometry, model))
    if options.colour == "BGR":
        frames = np.ascontiguousarray(frames[..., ::-1])
    fused, kept, overflows = _fuse(model, options, geometry, frames)
    stem = graph_stem(card.name, None if card.region else options.frame, options.batch)
    graph, holdout = folder / f"{stem}.{options.precision}.onnx", holdout_path(folder, stem)
    with atomic_path(graph) as candidate:
        write_graph(fused, replace(facts, float32=kept), candidate, graph)
        parity = check_parity(candidate, frames, expected, options.precision, progress, graph.name)
    HoldoutSet(frames, expected.scores, names, options.colour, roi, facts.weights).write(holdout)
    return Exported(graph, holdout, replace(facts, float32=kept), parity, overflows, stretched)


def _fuse(
    model: Aand, options: ExportOptions, geometry: FrameGeometry | None, frames: NDArray[np.uint8]
) -> tuple[FusedAand, tuple[str, ...], tuple[Overflow, ...]]:
    """The module to write, the regions of it that stay in float32, and the layers that they stay so for."""
    fused = FusedAand(model, colour=options.colour, geometry=geometry)
    if options.precision != "fp16":
        return fused, (), ()
    overflows = find_overflows(fused, (torch.from_numpy(each[None]) for each in frames))
    kept = regions_to_keep(fused, overflows)
    halved = FusedAand(model, half=True, float32=kept, colour=options.colour, geometry=geometry)
    return halved, kept, tuple(overflows)


def _geometry(frame: tuple[int, int], roi: Roi | None, size: int) -> FrameGeometry:
    _, _, width, height = looked_at = roi or (0, 0, frame[1], frame[0])
    rows, columns = resize_matrix(height, size), resize_matrix(width, size)
    return FrameGeometry(torch.tensor(rows), torch.tensor(columns), looked_at)


def _drawn(names: list[str], size: int) -> tuple[str, ...]:
    """As many of the names as may travel: the first ones are those of one shift, so a seeded draw is taken.

    size   of a frame, bytes
    """
    most = max(FEWEST_HOLDOUT, min(MOST_HOLDOUT, HOLDOUT_BYTES // size))
    if len(names) <= most:
        return tuple(names)
    chosen = np.random.default_rng(0).choice(len(names), most, replace=False)
    return tuple(names[index] for index in sorted(chosen))


def _holdout_frames(
    root: Path, names: tuple[str, ...], frame: tuple[int, int]
) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """uint8 (N, H, W, 3), RGB: the held-out pictures, brought to the frame's size; and height and width of each."""
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"The held-out picture {root / missing[0]} is missing",
            "Put the data set back where the model was trained from, or train again.",
        )
    frames, shapes = np.empty((len(names), *frame, 3), np.uint8), []
    for row, name in enumerate(names):  # one at a time: a camera's pictures may take megabytes each
        picture = read_picture(root / name)
        frames[row] = resize(picture, *frame)
        shapes.append(picture.shape[:2])
    return frames, shapes


def _of_another_shape(pictures: Sequence[tuple[int, int]], frame: tuple[int, int]) -> tuple[int, int] | None:
    """The first height and width whose ratio is another than the frame's."""
    for height, width in pictures:
        if abs(height * frame[1] / (width * frame[0]) - 1) > SAME_SHAPE:
            return height, width
    return None


def _as_network_sees(
    frames: NDArray[np.uint8], geometry: FrameGeometry | None, model: Aand
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """uint8 or float32 (N, S, S, 3): the host's crop and resize, unrounded, which the graph must equal."""
    if geometry is None:
        return frames
    return np.stack([resize_float(crop(frame, geometry.roi), model.size, model.size) for frame in frames])
