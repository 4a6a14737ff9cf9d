"""`aand-edge calibrate`: how large each tensor of the trunk gets, read from pictures of the line.

The fp32 graph answers with its inner tensors too; two passes over the pictures, one for the largest magnitudes and one
for histograms up to them, so that memory does not grow with the number of pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import Field

from aand_edge import __version__
from aand_edge.artifacts import Facts, Record, sha256_file
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, UsageError
from aand_edge.export.quantise import activations
from aand_edge.export.ranges import Histogram, Method, range_of
from aand_edge.export.regions import QUANTISABLE
from aand_edge.export.synthetic import with_anomalies
from aand_edge.graph_facts import GraphFacts, read_holdout
from aand_edge.holdout import calibration_rows

DEFAULT_IMAGES = 16
DEFAULT_SHARE = 99.999

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CalibrationOptions:
    """How ranges are read.

    share      percentile's, in per cent of a tensor's values other than zero
    images     held-out pictures to look at, at most
    anomalies  also looks at each of them with a synthetic anomaly on it
    """

    method: Method = "percentile"
    share: float = DEFAULT_SHARE
    images: int = DEFAULT_IMAGES
    anomalies: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("minmax", "percentile", "entropy", "mse"):
            raise UsageError(
                f"There is no calibration method '{self.method}'", "Choose minmax, percentile, entropy or mse."
            )
        if not 0 < self.share <= 100:
            raise UsageError(f"{self.share} is no percentile", "Take one within 0 and 100, say 99.999.")
        if self.images < 1:
            raise UsageError(f"{self.images} pictures are too few to calibrate on", "Take --calib-images 1 or more.")


class TensorRange(Record):
    """`range` is the magnitude that int8 reaches up to, `largest` what was seen."""

    range: float = Field(ge=0)
    largest: float = Field(ge=0)


class CalibrationTable(Record):
    """Ranges of the trunk's tensors, and the facts that they hold for."""

    called = "calibration table"
    again = "Make it again with `aand-edge calibrate`."

    format: int = 1
    key: str  # SHA-256 of `holds_for`
    holds_for: Facts
    tensors: dict[str, TensorRange]

    def options(self) -> CalibrationOptions:
        """How the ranges were read."""
        facts = self.holds_for
        share = facts["share"] or DEFAULT_SHARE
        return CalibrationOptions(facts["method"], share, facts["images"], facts["anomalies"])

    @property
    def held_out(self) -> int:
        """How many held-out pictures were looked at: fewer than were asked for where there were no more."""
        return int(self.holds_for["held_out"])

    def ranges(self) -> dict[str, float]:
        """Tensor name → range."""
        return {name: each.range for name, each in self.tensors.items()}


def table_path(folder: Path, graph: Path, options: CalibrationOptions) -> Path:
    """Where the table of an fp32 graph lies in a workspace's calib/ folder."""
    return folder / f"{graph.name.removesuffix('.fp32.onnx')}.{options.method}.json"


def latest_options(folder: Path, graph: Path) -> CalibrationOptions | None:
    """How the newest table of that graph in a calib/ folder was read; None where there is none that tells."""
    possible = [table_path(folder, graph, CalibrationOptions(method)) for method in get_args(Method)]
    tables = sorted((path for path in possible if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    try:
        return CalibrationTable.read(tables[-1]).options() if tables else None
    except (KeyError, TypeError, UsageError, ArtefactMismatchError):
        return None  # of another version, or torn: calibration starts anew


def calibrate(
    graph: Path,
    holdout: Path,
    table: Path,
    options: CalibrationOptions,
    *,
    locked: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Progress | None = None,
) -> CalibrationTable:
    """The table that holds for this fp32 graph, these pictures and options: the one that lies there, or a new one.

    locked   refuse, rather than replace, a table that was made for something else

    Raises ArtefactMismatchError where `locked` and the table is missing or holds for something else.
    """
    facts = GraphFacts.from_graph(graph)
    pictures = read_holdout(holdout, facts)
    if facts.precision != "fp32":
        raise UsageError(f"{graph} is an {facts.precision} graph", "Calibrate the fp32 graph.")
    chosen = pictures.frames[calibration_rows(len(pictures.frames), options.images)]
    frames = [*chosen, *(with_anomalies(chosen, facts).frames if options.anomalies else ())]
    holds_for = {**_holds_for(graph, facts, frames, options), "held_out": len(chosen)}
    existing, difference = _existing(table, holds_for)
    if existing is not None and not difference:
        os.utime(table)  # the newest table is the one that was last asked for
        return existing
    if locked:
        raise ArtefactMismatchError(difference, "Calibrate again without --locked.")
    if existing is not None:
        say(f"calibrating again: {difference}")
    tensors = read_ranges(graph, frames, options, progress)
    made = CalibrationTable(key=_digest(holds_for), holds_for=holds_for, tensors=tensors)
    made.write(table)
    return made


def read_ranges(
    graph: Path,
    frames: Sequence[NDArray[np.uint8]],
    options: CalibrationOptions,
    progress: Progress | None = None,
) -> dict[str, TensorRange]:
    """The range of every tensor that may be quantised, from two passes over uint8 (H, W, 3) frames.

    Raises AandEdgeError, naming the tensor, where a value is not finite.
    """
    probe = Probe(graph)
    largest = dict.fromkeys(probe.names, 0.0)
    steps = 2 * len(frames)
    for number, frame in enumerate(frames, start=1):
        for name, values in probe(frame):
            largest[name] = max(largest[name], _largest(name, values))
        if progress:
            progress(number, steps)
    histograms = {name: Histogram.up_to(top) for name, top in largest.items()}
    for number, frame in enumerate(frames, start=1 + len(frames)):
        for name, values in probe(frame):
            histograms[name].add(values)
        if progress:
            progress(number, steps)
    return {
        name: TensorRange(range=range_of(each, options.method, options.share), largest=each.top)
        for name, each in histograms.items()
    }


class Probe:
    """The fp32 graph, answering with the tensors that may be quantised."""

    def __init__(self, graph: Path) -> None:
        model = onnx.load(graph)
        self.names = activations(model, QUANTISABLE)
        if not self.names:
            raise ArtefactMismatchError(f"{graph} has no tensor that can be quantised", "Export the graph again.")
        outputs = {each.name for each in model.graph.output}
        model.graph.output.extend(
            onnx.helper.make_empty_tensor_value_info(name) for name in self.names if name not in outputs
        )
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        self._session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        self._batch = self._session.get_inputs()[0].shape[0]

    def __call__(self, frame: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """(name, values of one picture) of each tensor, for a frame uint8 (H, W, 3)."""
        answers = self._session.run(self.names, {"image": np.repeat(frame[None], self._batch, axis=0)})
        for name, values in zip(self.names, answers, strict=True):
            yield name, values[:1]


def _largest(name: str, values: NDArray[np.float32]) -> float:
    top = float(np.abs(values).max())
    if not np.isfinite(top):
        raise AandEdgeError(f"The tensor '{name}' is not finite on a calibration picture", "Train the model again.")
    return top


def _holds_for(
    graph: Path, facts: GraphFacts, frames: list[NDArray[np.uint8]], options: CalibrationOptions
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).tobytes())
    return {
        "graph_sha256": sha256_file(graph),
        "images": options.images,
        "pictures": len(frames),
        "pictures_sha256": digest.hexdigest(),
        "anomalies": options.anomalies,
        "preprocessing": f"uint8 {facts.colour} {facts.frame[1]}x{facts.frame[0]}, the rest in the graph",
        "method": options.method,
        "share": options.share if options.method == "percentile" else None,
        "aand_edge": __version__,
        "onnxruntime": ort.__version__,
    }


def _existing(path: Path, holds_for: dict[str, Any]) -> tuple[CalibrationTable | None, str]:
    """The table that lies there, and why it does not serve; "" where it does."""
    if not path.is_file():
        return None, f"There is no calibration table {path}"
    try:
        table = CalibrationTable.read(path)
    except ArtefactMismatchError as error:
        return None, error.message
    difference = _difference(table.holds_for, holds_for)
    return table, f"{path.name} was made for {difference}" if difference else ""


def _difference(made: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first fact that differs, both sides named; "" where none does."""
    for fact in wanted:
        if made.get(fact) != wanted[fact]:
            return f"{fact} {str(made.get(fact))[:16]}, wanted is {str(wanted[fact])[:16]}"
    return ""


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
