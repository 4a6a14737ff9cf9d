"""`aand-edge train`: from checked pictures to `model.safetensors` and `card.json`.

Test pictures are opened by the check alone, which looks for copies of them in training; nothing is learned from them.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aand_edge.artifacts import CARD, ModelCard, Region, check_writable, write_json
from aand_edge.data.checks import check_category
from aand_edge.data.layouts import Category, Sample
from aand_edge.errors import AandEdgeError, ArtefactMismatchError
from aand_edge.evaluation.threshold import conformal_threshold
from aand_edge.model.aand import Aand
from aand_edge.model.weights import WeightsOrigin, load_teacher
from aand_edge.training.checkpoint import Snapshot, discard_snapshot, save_model, save_snapshot
from aand_edge.training.compute import Compute, choose_compute, full_float32
from aand_edge.training.levels import weights_on
from aand_edge.training.loop import Progress, Stage, Watcher, epoch_generator, in_chunks, make_optimiser, run_stage
from aand_edge.training.options import TrainingOptions
from aand_edge.training.pictures import (
    TrainingPictures,
    build_synthesiser,
    load_pictures,
    load_training,
    region_of,
    split_holdout,
)
from aand_edge.training.stages import AdvancedFeatures, AmplifyStep, DistillStep

HISTORY = "history.json"


def train(category: Category, folder: Path, options: TrainingOptions, watcher: Watcher) -> ModelCard:
    """Train one model and write it into `folder`; goes on from a snapshot that lies there."""
    compute = choose_compute(options.device)
    report = check_category(category)
    report.raise_for_problems()
    for warning in report.warnings:
        watcher.warned(warning)
    region = region_of(report, options.roi)
    torch.manual_seed(options.seed)
    model = Aand(options.backbone, options.size, options.amplify)
    origin = load_teacher(model.teacher, model.backbone, options.weights)
    compute.place(model)
    check_writable(folder)
    with alone_in(folder):
        kept, held_out = split_holdout(category.train, options.holdout, options.seed)
        if options.recipe.batch > len(kept):
            watcher.warned(
                f"There are {len(kept)} pictures to train on, fewer than the batch of {options.recipe.batch}: "
                "each step takes all of them; a smaller --batch makes more steps of them"
            )
        options = replace(options, recipe=options.recipe.for_pictures(len(kept)))
        run = Run(model, load_training(kept, options.size, region), folder, options, compute, watcher, report.digest)
        run.execute(origin)
        if options.levels != "equal":
            pictures = load_pictures(held_out, options.size, region)
            model.level_weights = weights_on(model, pictures, compute, options.levels)
        scores = score(model, held_out, compute, region)
        card = _card(category, report.digest, held_out, options, origin, run, scores)
        card.region = region
        card.weights["sha256"] = save_model(folder, model)
        write_json(folder / HISTORY, run.progress.history)
        card.write(folder / CARD)
        discard_snapshot(folder)
        return card


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Raises AandEdgeError while another training works in the folder: each would overwrite what the other saves.

    The lock is the folder's own, and ends with the process. Windows has none, nor have some network shares.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AandEdgeError(
                f"Another training is at work in {folder}", "Wait until it has ended, or give this one another --name."
            ) from None
        except OSError:  # the share locks no folder
            pass
        yield
    finally:
        os.close(place)


class Run:
    """One training run: two stages over the same pictures, resumable."""

    def __init__(
        self,
        model: Aand,
        training: TrainingPictures,
        folder: Path,
        options: TrainingOptions,
        compute: Compute,
        watcher: Watcher,
        data_digest: str,
    ) -> None:
        self.model, self.training, self.folder = model, training, folder
        self.options, self.compute, self.watcher, self.data_digest = options, compute, watcher, data_digest
        self.progress = Progress("amplify")

    def execute(self, origin: WeightsOrigin) -> None:
        """Both stages, or what is left of them."""
        self.asked = self._asked_for(origin)
        snapshot = None if self.options.fresh else Snapshot.read(self.folder)
        if snapshot is not None:
            self._check_same_run(snapshot)
            snapshot.restore_model(self.model)
            self.progress = snapshot.progress
            self.watcher.resumed(self.progress.stage, self.progress.epoch)
        if self.progress.stage == "amplify":
            if self.model.amplifiers is not None:
                self._amplify(snapshot)
                snapshot = None
            self.progress = replace(self.progress, stage="distill", epoch=0)
        self._distill(snapshot)

    def _amplify(self, snapshot: Snapshot | None) -> None:
        assert self.model.amplifiers is not None
        textures = epoch_generator(self.options.seed, "textures", 0)
        synthesiser = build_synthesiser(self.training, self.options.textures, textures)
        step = AmplifyStep(self.model, self.training, synthesiser, self.compute)
        self._stage(step, list(self.model.amplifiers.parameters()), self.options.recipe.epochs_amplify, snapshot)

    def _distill(self, snapshot: Snapshot | None) -> None:
        self.model.train()
        advanced = AdvancedFeatures(self.model, self.training, self.compute, self.options.cache_mb)
        step = DistillStep(self.model, advanced, self.compute, self.options.hard_patches)
        parameters = [*self.model.bottleneck.parameters(), *self.model.student.parameters()]
        self._stage(step, parameters, self.options.recipe.epochs_distill, snapshot)
        self.model.eval()

    def _stage(
        self, step: AmplifyStep | DistillStep, parameters: list[nn.Parameter], epochs: int, snapshot: Snapshot | None
    ) -> None:
        optimiser = make_optimiser(parameters, self.options.recipe)
        if snapshot is not None:
            snapshot.restore_optimiser(optimiser)
        stage = Stage(step, epochs, len(self.training), self.options.recipe, optimiser, self.options.seed)
        run_stage(stage, self.progress, self._save, self.watcher)

    def _save(self, progress: Progress, optimiser: torch.optim.Optimizer) -> None:
        save_snapshot(self.folder, self.model, optimiser, progress, self.asked)

    def _asked_for(self, origin: WeightsOrigin) -> dict[str, Any]:
        options = self.options
        return {
            "backbone": options.backbone,
            "size": options.size,
            "roi": list(options.roi) if options.roi else None,
            "amplify": options.amplify,
            "hard_patches": options.hard_patches,
            "levels": options.levels,
            "recipe": options.recipe.to_dict(),
            "seed": options.seed,
            "holdout": options.holdout,
            "textures": str(options.textures) if options.textures else None,
            "number format": str(self.compute.dtype),
            "pictures": self.data_digest,
            "weights": origin.sha256,
        }

    def _check_same_run(self, snapshot: Snapshot) -> None:
        before = {"levels": "equal", "roi": None, **snapshot.run}  # snapshots of before do not tell
        changed = [key for key, value in self.asked.items() if before.get(key) != value]
        if changed:
            # Its default may be another one since.
            given = f"--levels {before['levels']}" if changed[0] == "levels" else "the same options"
            raise ArtefactMismatchError(
                f"{self.folder} holds an unfinished training that differs in {changed[0]} "
                f"({_difference(before.get(changed[0]), self.asked[changed[0]])})",
                f"Give {given} to go on with it, or --fresh to start over.",
            )


def _difference(before: Any, now: Any) -> str:
    """ "16, now 8"; of a recipe only what differs in it."""
    if isinstance(before, dict) and isinstance(now, dict):
        changed = [key for key in now if before.get(key) != now[key]]
        return ", ".join(f"{key} {_difference(before.get(key), now[key])}" for key in changed)
    return f"{before}, now {now}"


def score(
    model: Aand, samples: Sequence[Sample], compute: Compute, region: Region | None = None
) -> NDArray[np.float32]:
    """float32 (N,): the model's scores of these pictures, in float32."""
    model.eval()
    pictures = load_pictures(samples, model.size, region)
    with torch.no_grad(), full_float32():
        parts = [model(compute.pictures(pictures[rows]).float())[1].cpu() for rows in in_chunks(len(pictures), 8)]
    return torch.cat(parts).numpy()


def _card(
    category: Category,
    data_digest: str,
    held_out: Sequence[Sample],
    options: TrainingOptions,
    origin: WeightsOrigin,
    run: Run,
    scores: NDArray[np.float32],
) -> ModelCard:
    return ModelCard(
        name=run.folder.name,
        backbone=options.backbone,
        size=options.size,
        amplify=options.amplify,
        hard_patches=options.hard_patches,
        seed=options.seed,
        data={
            "root": str(category.root.resolve()),
            "layout": category.layout,
            "category": category.name,
            "train": len(run.training),
            "held_out": len(held_out),
            "digest": data_digest,
        },
        holdout=[sample.path.relative_to(category.root).as_posix() for sample in held_out],
        recipe=options.recipe.to_dict(),
        protocol=(
            f"Last epoch of a fixed schedule. Threshold from {len(held_out)} training pictures held out of training. "
            "No test picture entered training."
        ),
        weights={"source": origin.source, "sha256_teacher": origin.sha256},
        versions=versions(),
        seconds={**{key: round(value, 1) for key, value in run.progress.seconds.items()}},
        level_weights=run.model.level_weights,
        threshold=conformal_threshold(scores, options.false_rejects),
    )


def versions() -> dict[str, str]:
    """Of Python and of the packages that shape the numbers."""
    found = {"python": platform.python_version()}
    for package in ("aand-edge", "torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
