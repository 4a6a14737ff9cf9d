"""A run: one category, method, seed and number of pictures; what it was asked for and what it found."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np
import torch

from aand_edge.artifacts import sha256_file, write_json
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Category, categories_in, read_category
from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.evaluation.metrics import Metrics, evaluate
from aand_edge.model.backbones import build_teacher
from aand_edge.model.choices import find_backbone
from aand_edge.model.weights import load_teacher
from aand_edge.training.compute import Compute, choose_compute, find_device
from aand_edge.training.evaluate import evaluate_model
from aand_edge.training.options import TrainingOptions
from aand_edge.training.pictures import load_pictures, split_holdout
from aand_edge.training.recipe import Recipe
from aand_edge.training.train import train
from benchmarks.accuracy.methods import METHODS, advancing
from benchmarks.accuracy.neighbours import anomaly_maps, bank
from benchmarks.split import drawn_masks

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What one run is asked for; plain values, so that it travels to another machine.

    pictures   training pictures drawn by the seed, hold-out included; None takes all of them
    """

    data: str
    layout: str
    category: str | None
    backbone: str
    weights: str | None
    size: int
    recipe: dict[str, Any]
    method: str
    seed: int
    pictures: int | None
    device: str
    threads: int

    @property
    def shown(self) -> str:
        """The category's name."""
        return self.category or Path(self.data).name

    @property
    def name(self) -> str:
        """Of its files: what was asked for, of which pictures and weights, wherever on whichever machine they lie.

        Device and threads do not belong to it: they change the time and not the task.
        """
        data, weights = Path(self.data), Path(self.weights) if self.weights else None
        elsewhere = {key: value for key, value in self._asked().items() if key not in ("data", "category", "weights")}
        pictures = _listing(data, self.layout, self.category)
        return self._named({**elsewhere, "pictures_of": pictures, "weights": weights and _content(weights)})

    @property
    def former_name(self) -> str:
        """The name that records had before, of absolute paths: those are still found."""
        return self._named(self._asked())

    def _asked(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key not in ("device", "threads")}

    def _named(self, facts: dict[str, Any]) -> str:
        digest = _digest(facts)
        return f"{self.shown}-{self.backbone}-{self.method}-{self.pictures or 'all'}-{self.seed}-{digest[:8]}"


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _listing(data: Path, layout: str, category: str | None) -> str:
    """Digest of the names and sizes of a category's files: what they hold would take minutes to read.

    "" where there is no such category, which running it will say.
    """
    try:
        found = read_category(data, layout, category)
    except AandEdgeError:
        return ""
    samples = (*found.train, *found.test)
    files = {path for each in samples for path in (each.path, each.mask) if path is not None and path.is_file()}
    return _digest(sorted((path.relative_to(found.root).as_posix(), path.stat().st_size) for path in files))


def _content(weights: Path) -> str:
    """Digest of a weights file; "" where there is none."""
    return _content_at(weights, weights.stat().st_mtime_ns) if weights.is_file() else ""


@cache
def _content_at(weights: Path, changed: int) -> str:
    return sha256_file(weights)


class Quiet:
    """A watcher that says nothing: the runs of a benchmark are told of when they are done."""

    def resumed(self, stage: str, epoch: int) -> None: ...

    def epoch_done(self, stage: str, epoch: int, epochs: int, losses: dict[str, float]) -> None: ...

    def warned(self, sentence: str) -> None: ...

    def batch_done(self, stage: str, epoch: int, epochs: int, batch: int, batches: int) -> None: ...


def categories(root: Path) -> list[str | None]:
    """The categories of a data root; [None] where it is a category itself."""
    return [*categories_in(root)] or [None]


def execute(run: Run, work: Path, keep: bool = False) -> Row:
    """Train and judge; the row of the tables, or a row that says why there is none. `keep`: the model stays."""
    torch.set_num_threads(run.threads)
    start = time.monotonic()
    try:
        found = _trained(run, work, keep) if METHODS[run.method].trained else _neighbours(run)
    except Exception as error:  # a hundred other runs wait, and whoever reads the page finds what became of this one
        return failed_row(run, error)
    machine = device_line(describe_device())
    return {
        **asdict(run),
        "shown": run.shown,
        **found,
        "wall_s": round(time.monotonic() - start, 1),
        "machine": machine,
    }


def failed_row(run: Run, error: Exception) -> Row:
    """The row of a run that ended without figures: why, in a sentence."""
    return {**asdict(run), "shown": run.shown, "failed": _reason(error)}


def _reason(error: Exception) -> str:
    if isinstance(error, AandEdgeError):
        return str(error)
    told = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "no reason is given")
    frames = extract_tb(error.__traceback__)
    place = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"It ended unexpectedly ({type(error).__name__}{place}): {told}"


def _trained(run: Run, work: Path, keep: bool) -> Row:
    method, folder = METHODS[run.method], work / "models" / run.name
    options = TrainingOptions(
        backbone=run.backbone,
        size=run.size,
        weights=Path(run.weights) if run.weights else None,
        amplify=method.amplify,
        hard_patches=method.hard_patches,
        recipe=Recipe(**run.recipe),
        seed=run.seed,
        device=run.device,
    )
    category = _category(run)
    with advancing(method):
        card = train(category, folder, options, Quiet())
        _, metrics = evaluate_model(folder, category, run.device)
    if not keep:
        shutil.rmtree(folder)  # a hundred models would fill a disk, and each can be trained again
    epochs = {stage: card.recipe[f"epochs_{stage}"] for stage in card.seconds}
    return {
        **_row(card.data["train"], card.data["held_out"], metrics),
        "epochs": epochs,
        "computed_in": str(choose_compute(run.device)),  # the student's training; the rest is float32
        "seconds": card.seconds,
    }


def _neighbours(run: Run) -> Row:
    category = _category(run)
    backbone, compute = find_backbone(run.backbone), Compute(find_device(run.device), torch.float32)
    teacher = build_teacher(backbone)
    load_teacher(teacher, backbone, Path(run.weights) if run.weights else None)
    compute.place(teacher)
    # The same pictures as a training has: what is held out is not remembered either.
    kept, held_out = split_holdout(category.train, TrainingOptions.holdout, run.seed)
    start = time.monotonic()
    known = bank(teacher, kept, run.size, compute)
    seconds = {"remember": round(time.monotonic() - start, 1)}
    maps = anomaly_maps(teacher, known, load_pictures(category.test, run.size), compute).numpy()
    masks = drawn_masks(category.test, run.size)
    anomalous = np.array([sample.anomalous for sample in category.test])
    metrics = evaluate(maps.max(axis=(1, 2)), anomalous, maps, masks)
    return {**_row(len(kept), len(held_out), metrics), "seconds": seconds}


def _row(kept: int, held_out: int, metrics: Metrics) -> Row:
    return {"trained_on": kept, "held_out": held_out, **metrics.to_dict()}


def _category(run: Run) -> Category:
    category = read_category(Path(run.data), run.layout, run.category)
    if not category.test:
        raise UsageError(f"{category.root} has no test pictures", "Point --data at categories with a test split.")
    return category if run.pictures is None else fewer(category, run.pictures, run.seed)


def fewer(category: Category, count: int, seed: int) -> Category:
    """The category with `count` training pictures drawn by `seed`; a smaller draw is part of a larger one."""
    if count > len(category.train):
        raise UsageError(f"{category.name} has {len(category.train)} training pictures, not {count}", "Ask for fewer.")
    order = torch.randperm(len(category.train), generator=torch.Generator().manual_seed(seed))[:count]
    return replace(category, train=tuple(category.train[row] for row in sorted(order.tolist())))


def recorded(run: Run, work: Path) -> Row | None:
    """The row of a run that is done."""
    for name in (run.name, run.former_name):
        path = _record(name, work)
        if path.is_file():
            row: Row = json.loads(path.read_text(encoding="utf-8"))
            return row
    return None


def record(run: Run, work: Path, row: Row) -> None:
    """Keep the row; a failed run is not kept, so that it is tried again."""
    if "failed" not in row:
        write_json(_record(run.name, work), row)


def _record(name: str, work: Path) -> Path:
    return work / "runs" / f"{name}.json"


def left(runs: Sequence[Run], work: Path) -> list[Run]:
    """The runs that are not done."""
    return [run for run in runs if recorded(run, work) is None]
