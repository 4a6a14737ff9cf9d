"""The int8 graph: the fp16 graph with Q/DQ pairs, their scales from a calibration table.

One file serves every engine: TensorRT reads the half-precision scales as they are, OpenVINO takes the pairs as its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from aand_edge.artifacts import atomic_path
from aand_edge.errors import ArtefactMismatchError, UsageError
from aand_edge.export.calibrate import CalibrationTable
from aand_edge.export.cost import describe
from aand_edge.export.quantise import quantise, regions_with_convolutions
from aand_edge.export.regions import checked_regions, default_regions
from aand_edge.export.validate import GraphReport, inspect_model
from aand_edge.graph_facts import FORMAT, GraphFacts, seal


@dataclass(frozen=True)
class Quantisation:
    """What is quantised, and how many bits its weights have; see `regions`, and `engines.cpu` for 7 bits."""

    regions: tuple[str, ...]
    weight_bits: int = 8

    def __post_init__(self) -> None:
        checked_regions(self.regions)
        if self.weight_bits not in (7, 8):
            raise UsageError(f"Weights of {self.weight_bits} bits cannot be had", "Take --weight-bits 7 or 8.")


def chosen_regions(graph: Path, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """What of a graph is quantised: the regions asked for, by default those of its backbone that it has.

    Raises UsageError for a region that it has not.
    """
    there = regions_with_convolutions(onnx.load(graph))
    if asked is None:
        return tuple(region for region in default_regions(GraphFacts.from_graph(graph).backbone) if region in there)
    regions = checked_regions(asked)
    absent = [region for region in regions if region not in there]
    if absent:
        raise UsageError(f"{graph} has no region '{absent[0]}' to quantise", f"Choose among {', '.join(there)}.")
    return regions


def int8_path(fp16: Path, quantisation: Quantisation) -> Path:
    """NAME.fp16.onnx → NAME.int8.onnx, or NAME.int8w7.onnx where the weights have 7 bits."""
    suffix = "int8" if quantisation.weight_bits == 8 else f"int8w{quantisation.weight_bits}"
    return fp16.with_name(f"{fp16.name.removesuffix('.fp16.onnx')}.{suffix}.onnx")


def quantised_facts(fp16: GraphFacts, calibration: str, held_out: int, quantisation: Quantisation) -> GraphFacts:
    """The facts of the int8 graph that an fp16 graph becomes, with the table of that key and number of pictures."""
    return replace(
        fp16,
        format=FORMAT,
        precision="int8",
        calibration=calibration,
        calibrated_on=held_out,
        quantised=checked_regions(quantisation.regions),
        weight_bits=quantisation.weight_bits,
    )


def write_int8(fp16: Path, table: CalibrationTable, quantisation: Quantisation, target: Path) -> GraphReport:
    """Quantise a graph into another file, validated before it is put in place."""
    facts = GraphFacts.from_graph(fp16)
    if facts.precision != "fp16":
        raise ArtefactMismatchError(f"{fp16} is an {facts.precision} graph", "Quantise the fp16 graph.")
    model = quantise(onnx.load(fp16), table.ranges(), quantisation.regions, quantisation.weight_bits)
    facts = quantised_facts(facts, table.key, table.held_out, quantisation)
    describe(model, facts)
    onnx.checker.check_model(model, full_check=True)
    report = inspect_model(model, facts)
    report.raise_for_problems(target)
    with atomic_path(target) as temporary:
        onnx.save_model(model, str(temporary))
        seal(temporary)
    return report
