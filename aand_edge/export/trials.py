"""Measuring mixtures of precisions for the accuracy budget: quantise, build, judge the same pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aand_edge.data.layouts import Category, Sample
from aand_edge.data.masks import sample_mask
from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import resize, resize_mask, uncrop
from aand_edge.engines.base import Backend, BuildOptions
from aand_edge.engines.budget import Measured
from aand_edge.errors import UsageError
from aand_edge.evaluation.metrics import evaluate
from aand_edge.evaluation.threshold import conformal_threshold
from aand_edge.export.calibrate import CalibrationTable
from aand_edge.export.int8 import Quantisation, write_int8
from aand_edge.export.synthetic import with_anomalies
from aand_edge.graph_facts import GraphFacts
from aand_edge.holdout import HoldoutSet

WARM_UP = 3  # frames before the first timed one
MEASURING_SEED = 21  # not calibration's: what ranges were read from must not judge them
FEWEST_ANOMALIES = 32


@dataclass(frozen=True)
class JudgedSet:
    """Pictures with their labels, as a graph takes them.

    frames        N of uint8 (H, W, 3)
    anomalous     bool (N,)
    masks         N of bool (H', W') at the map's size, all false on a good part; None where nobody drew one
    description   for the report
    """

    frames: tuple[NDArray[np.uint8], ...]
    anomalous: NDArray[np.bool_]
    masks: tuple[NDArray[np.bool_] | None, ...]
    description: str


def synthetic_set(holdout: HoldoutSet, facts: GraphFacts) -> JudgedSet:
    """Held-out good pictures, and synthetic anomalies on them: no defect that the line has seen is needed.

    Where the pictures are few, each carries several anomalies in turn. Raises DataError where none can be made.
    """
    count = len(holdout.frames)
    rounds = range(MEASURING_SEED, MEASURING_SEED + -(-FEWEST_ANOMALIES // count))
    made = [with_anomalies(holdout.frames, facts, seed) for seed in rounds]
    shape = map_shape(facts)
    masks = [resize_mask(mask, *shape) for each in made for mask in each.masks]
    return JudgedSet(
        (*holdout.frames, *(frame for each in made for frame in each.frames)),
        np.arange(count + len(masks)) >= count,
        (*[np.zeros(shape, bool)] * count, *(mask if mask.any() else None for mask in masks)),
        f"{count} held-out pictures and {len(masks)} synthetic anomalies on them",
    )


def labelled_set(category: Category, facts: GraphFacts) -> JudgedSet:
    """The test split of a category. Raises UsageError where it has no good or no anomalous picture."""
    anomalous = np.array([sample.anomalous for sample in category.test], dtype=bool)
    if not anomalous.any() or anomalous.all():
        raise UsageError(
            f"{category.root} has no test pictures of both kinds, good and anomalous",
            "Leave --data out: then synthetic anomalies on held-out pictures are judged.",
        )
    read = [_read(sample, facts) for sample in category.test]
    return JudgedSet(
        tuple(frame for frame, _ in read),
        anomalous,
        tuple(mask for _, mask in read),
        f"{(~anomalous).sum()} good and {anomalous.sum()} anomalous pictures of {category.name}",
    )


def _read(sample: Sample, facts: GraphFacts) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    picture = read_picture(sample.path)
    frame = resize(picture, *facts.frame)
    frame = np.ascontiguousarray(frame[..., ::-1]) if facts.colour == "BGR" else frame
    return frame, sample_mask(sample, (picture.shape[0], picture.shape[1]), map_shape(facts))


def map_shape(facts: GraphFacts) -> tuple[int, int]:
    """Of a map of the whole frame, which a region's map is laid into."""
    empty = np.zeros((facts.size, facts.size), np.float32)
    height, width = uncrop(empty, facts.frame, facts.roi).shape
    return height, width


@dataclass
class Trials:
    """Builds and measures engines of one graph; the reference's answers are kept to compare with."""

    backend: Backend
    options: BuildOptions
    fp16: Path
    judged: JudgedSet
    false_rejects: float
    folder: Path  # for graphs and engines that nobody keeps
    _maps: NDArray[np.float32] = field(init=False)
    _scores: NDArray[np.float32] = field(init=False)

    def reference(self, fp32: Path) -> Measured:
        """Measure the fp32 engine, which all others are compared with."""
        self._maps, self._scores, latency = self._answers(fp32, replace(self.options, precision="fp32"))
        return self._measured((), self._maps, self._scores, latency)

    def measure(self, regions: tuple[str, ...], table: CalibrationTable, weight_bits: int | None = None) -> Measured:
        """Measure the engine in which those regions are quantised, with that table's ranges."""
        quantisation = Quantisation(regions, weight_bits or self.backend.int8_weight_bits())
        graph = self.folder / "trial.int8.onnx"
        write_int8(self.fp16, table, quantisation, graph)
        return self._measured(regions, *self._answers(graph, self.options))

    def _answers(self, graph: Path, options: BuildOptions) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Maps, scores and the median milliseconds of a frame."""
        facts = GraphFacts.from_graph(graph)
        built = self.backend.build(graph, options)
        plan = self.folder / f"trial{self.backend.suffix}"
        plan.write_bytes(built.plan)
        maps, scores, seconds = [], [], []
        with self.backend.load(plan, built.options) as runner:
            judged = self.judged.frames
            for frame in (*(judged[number % len(judged)] for number in range(WARM_UP)), *judged):
                frames = np.repeat(frame[None], facts.batch, axis=0)
                start = time.perf_counter()
                outputs = runner.infer(frames)
                seconds.append(time.perf_counter() - start)
                maps.append(uncrop(outputs.anomaly_map[0], facts.frame, facts.roi))
                scores.append(outputs.score[0])
        latency = 1000 * float(np.median(seconds[WARM_UP:])) / facts.batch
        return np.stack(maps[WARM_UP:]), np.array(scores[WARM_UP:]), latency

    def _measured(
        self, regions: Sequence[str], maps: NDArray[np.float32], scores: NDArray[np.float32], latency: float
    ) -> Measured:
        judged = self.judged
        figures = evaluate(scores, judged.anomalous, maps, judged.masks)
        return Measured(
            regions=tuple(regions),
            image_auroc=figures.image_auroc,
            aupro=figures.aupro,
            map_error=float(np.abs(maps - self._maps).mean()),
            flips=float((self._rejected(scores) != self._rejected(self._scores)).mean()),
            latency_ms=latency,
        )

    def _rejected(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Verdicts by the threshold that these scores of good parts give."""
        return conformal_threshold(scores[~self.judged.anomalous], self.false_rejects).rejects(scores)
