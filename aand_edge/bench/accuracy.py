"""A runner over the test split: scores, maps, verdicts, and the time that decoding and resizing take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aand_edge.bench.contender import Contender
from aand_edge.data.layouts import Sample
from aand_edge.data.masks import sample_mask
from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import resize, uncrop
from aand_edge.engines.base import Frames, Runner, filled
from aand_edge.evaluation.metrics import Metrics, evaluate

EXAMPLES = 4  # pictures kept of each group, with their maps, for the report


@dataclass(frozen=True)
class Judgement:
    """What an engine says of one test picture; `rejected` at the engine's own threshold."""

    sample: Sample
    score: float
    rejected: bool
    decode_ms: float
    resize_ms: float


@dataclass(frozen=True)
class Example:
    """A judged picture kept for people to see; group: "missed", "found", "false reject" or "passed"."""

    group: str
    judgement: Judgement
    anomaly_map: NDArray[np.float32]


@dataclass(frozen=True)
class Accuracy:
    """An engine's answers on a test split.

    false_rejects and missed are counts at the engine's threshold, None where there is no good or no anomalous picture;
    decode_ms and resize_ms are medians, None without pictures.
    """

    metrics: Metrics
    judgements: tuple[Judgement, ...]
    false_rejects: int | None
    missed: int | None
    decode_ms: float | None
    resize_ms: float | None
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Prepared:
    """A picture as an engine takes it, uint8 (H, W, 3), the size (H, W) it had, and how long that took."""

    frame: NDArray[np.uint8]
    size: tuple[int, int]
    decode_ms: float
    resize_ms: float


def prepare(sample: Sample, contender: Contender) -> Prepared:
    """Decode a picture, then resize it and order its channels. Raises DataError where it cannot be read."""
    start = time.perf_counter()
    picture = read_picture(sample.path)
    decoded = time.perf_counter()
    frame = resize(picture, *contender.frame)
    if contender.colour == "BGR":
        frame = np.ascontiguousarray(frame[..., ::-1])
    size = (picture.shape[0], picture.shape[1])
    return Prepared(frame, size, 1000 * (decoded - start), 1000 * (time.perf_counter() - decoded))


def batch_of(prepared: Sequence[Prepared], size: int) -> Frames:
    """A whole batch (size, H, W, 3) of what is there."""
    return filled(np.stack([item.frame for item in prepared]), size)


def judge_split(
    runner: Runner,
    contender: Contender,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None] | None = None,
) -> Accuracy:
    """Run `samples` through an engine and measure it against their labels and masks.

    progress: told pictures done and pictures in all. Raises DataError where a picture or mask cannot be used or
    the engine answers with a value that is not finite.
    """
    judgements: list[Judgement] = []
    maps: list[NDArray[np.float32]] = []
    masks: list[NDArray[np.bool_] | None] = []
    for judgement, anomaly_map, mask in judge(runner, contender, samples):
        judgements.append(judgement)
        maps.append(anomaly_map)
        masks.append(mask)
        if progress:
            progress(len(judgements), len(samples))
    anomalous = np.array([sample.anomalous for sample in samples], dtype=bool)
    scores = np.array([judgement.score for judgement in judgements])
    metrics = evaluate(scores, anomalous, np.stack(maps) if maps else None, masks)
    rejected = np.array([judgement.rejected for judgement in judgements], dtype=bool)
    return Accuracy(
        metrics,
        tuple(judgements),
        int((rejected & ~anomalous).sum()) if not anomalous.all() else None,
        int((~rejected & anomalous).sum()) if anomalous.any() else None,
        _median([judgement.decode_ms for judgement in judgements]),
        _median([judgement.resize_ms for judgement in judgements]),
        choose_examples(judgements, maps),
    )


def judge(
    runner: Runner, contender: Contender, samples: Sequence[Sample]
) -> Iterator[tuple[Judgement, NDArray[np.float32], NDArray[np.bool_] | None]]:
    """The verdict, map and mask (at the map's size) of each picture, in their order. Raises as `judge_split`."""
    for start in range(0, len(samples), contender.batch):
        group = samples[start : start + contender.batch]
        prepared = [prepare(sample, contender) for sample in group]
        outputs = runner.infer(batch_of(prepared, contender.batch))
        rejected = contender.threshold.rejects(outputs.score)
        for index, (sample, item) in enumerate(zip(group, prepared, strict=True)):
            score = float(outputs.score[index])
            verdict = Judgement(sample, score, bool(rejected[index]), item.decode_ms, item.resize_ms)
            anomaly_map = uncrop(outputs.anomaly_map[index], contender.frame, contender.roi).copy()
            yield verdict, anomaly_map, sample_mask(sample, item.size, (anomaly_map.shape[0], anomaly_map.shape[1]))


def choose_examples(judgements: Sequence[Judgement], maps: Sequence[NDArray[np.float32]]) -> tuple[Example, ...]:
    """The pictures that tell most: lowest-scoring misses, highest-scoring finds, highest-scoring goods."""
    ranked = sorted(zip(judgements, maps, strict=True), key=lambda pair: pair[0].score)
    groups: dict[str, list[Example]] = {"missed": [], "found": [], "false reject": [], "passed": []}
    for judgement, anomaly_map in ranked:
        if judgement.sample.anomalous:
            group = "found" if judgement.rejected else "missed"
        else:
            group = "false reject" if judgement.rejected else "passed"
        groups[group].append(Example(group, judgement, anomaly_map))
    kept = [groups["missed"][:EXAMPLES]]
    kept += [groups[group][-EXAMPLES:][::-1] for group in ("found", "false reject", "passed")]
    return tuple(example for group in kept for example in group)


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
