"""Networks with random weights, written as `train` and `export` leave them: speed does not depend on weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from aand_edge.artifacts import CARD, ModelCard, Precision
from aand_edge.data.layouts import read_category
from aand_edge.export.calibrate import CalibrationOptions, CalibrationTable, TensorRange, read_ranges
from aand_edge.export.graph import write_graph
from aand_edge.export.int8 import Quantisation, write_int8
from aand_edge.export.quantise import activations
from aand_edge.export.regions import default_regions
from aand_edge.graph_facts import GraphFacts, graph_stem
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand
from aand_edge.training.checkpoint import save_model

HOLDOUT = 16  # good pictures that an untrained model is exported and calibrated with
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
Frames = NDArray[np.uint8]


def network(backbone: str, size: int, amplify: bool = True) -> Aand:
    """The same weights each time; in evaluation mode."""
    torch.manual_seed(0)
    return Aand(backbone, size, amplify).eval()


@dataclass(frozen=True)
class Graphs:
    """A network's graph in each precision; `batch` 1 goes first, since int8 of a larger batch takes its ranges.

    frames   uint8 (N, S, S, 3) that the ranges are read from; None: every range is 1, and nothing runs
    """

    model: Aand
    folder: Path
    frames: Frames | None = None
    name: str = "untrained"

    def write(self, batch: int = 1) -> dict[Precision, Path]:
        """Where the fp32, fp16 and int8 graph lie that take so many frames."""
        size, backbone = self.model.size, self.model.backbone.name
        paths = self._paths(batch)
        for precision in PRECISIONS[:2]:
            facts = GraphFacts(self.name, backbone, size, (size, size), "BGR", precision, "0" * 64, batch)
            write_graph(FusedAand(self.model, half=precision == "fp16"), facts, paths[precision])
        quantisation = Quantisation(default_regions(backbone))
        write_int8(paths["fp16"], self._table(quantisation.regions), quantisation, paths["int8"])
        return paths

    def maps(self) -> NDArray[np.float32]:
        """What the module answers to the frames: (N, S, S)."""
        assert self.frames is not None
        with torch.inference_mode():
            maps: NDArray[np.float32] = FusedAand(self.model)(torch.from_numpy(self.frames))[0].numpy()
        return maps

    def _paths(self, batch: int) -> dict[Precision, Path]:
        stem = graph_stem(self.name, None, batch)
        return {precision: self.folder / f"{stem}.{precision}.onnx" for precision in PRECISIONS}

    def _table(self, regions: tuple[str, ...]) -> CalibrationTable:
        """Of the graphs that take one frame: the tensors of a larger batch have the same names."""
        path, first = self.folder / "ranges.json", self._paths(1)
        if path.is_file():
            return CalibrationTable.read(path)
        if self.frames is None:
            half = onnx.load(first["fp16"])
            casts = {node.output[0]: node.input[0] for node in half.graph.node if node.op_type == "Cast"}
            one = TensorRange(range=1.0, largest=1.0)
            tensors = dict.fromkeys([*activations(half, regions), *casts.values()], one)
        else:
            tensors = read_ranges(first["fp32"], list(self.frames), CalibrationOptions())
        held_out = 0 if self.frames is None else len(self.frames)
        table = CalibrationTable(key="", holds_for={"held_out": held_out}, tensors=tensors)
        table.write(path)
        return table


def noise(count: int, size: int) -> Frames:
    """The same frames each time: uint8 (count, size, size, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_model(folder: Path, backbone: str, amplify: bool, data: Path) -> Path:
    """A model's folder as `train` leaves it, with good pictures of the category `data` as held-out ones."""
    ModelCard(
        name=folder.name,
        backbone=backbone,
        size=256,
        amplify=amplify,
        hard_patches=10,
        seed=0,
        data={"root": str(data), "category": data.name},
        holdout=[str(sample.path.relative_to(data)) for sample in read_category(data).train[:HOLDOUT]],
        recipe={},
        protocol="untrained",
        weights={"sha256": save_model(folder, network(backbone, 256, amplify))},
        versions={},
        seconds={},
    ).write(folder / CARD)
    return folder
