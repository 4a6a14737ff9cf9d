"""Our training and the authors' recipe on one split, with one schedule and seed: what each reaches on the test split.

Both learn from the same pictures, hold the same ones out and start from the same weights; the last epoch counts, and
the test split chooses nothing. Both models are judged in float32 by the same code.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from aand_edge.artifacts import CARD, ModelCard
from aand_edge.data.layouts import Category
from aand_edge.errors import UsageError
from aand_edge.model.aand import Aand
from aand_edge.model.weights import load_teacher
from aand_edge.training.checkpoint import save_model
from aand_edge.training.compute import find_device
from aand_edge.training.evaluate import evaluate_model
from aand_edge.training.loop import Losses, Progress, Stage, run_stage
from aand_edge.training.options import TrainingOptions
from aand_edge.training.pictures import split_holdout
from aand_edge.training.train import train
from benchmarks.accuracy.plan import Quiet
from benchmarks.authors_recipe import OneAtATime, optimisers, their_losses


def compare(category: Category, options: TrainingOptions) -> dict[str, Any]:
    """Figures of both, and how they were trained, as plain values. Raises UsageError without test pictures."""
    if not category.test:
        raise UsageError(f"{category.root} has no test pictures", "Point --data at a category with a test split.")
    with TemporaryDirectory() as name:
        ours, theirs = Path(name) / "ours", Path(name) / "authors"
        card = train(category, ours, options, Quiet())
        print(f"ours is trained: {card.seconds}", flush=True)
        model = train_as_authors(category, options)
        shutil.copytree(ours, theirs)
        replace_weights(theirs, model)
        figures = {
            folder.name: evaluate_model(folder, category, options.device)[1].to_dict() for folder in (ours, theirs)
        }
    return {
        **figures,
        "category": category.name,
        "trained_on": card.data["train"],
        "held_out": card.data["held_out"],
        "test": len(category.test),
        "seed": options.seed,
        "recipe": card.recipe,
    }


def replace_weights(folder: Path, model: Aand) -> None:
    """Another model's weights in a model's folder, and their SHA-256 on its card."""
    card = ModelCard.read(folder / CARD)
    card.weights["sha256"] = save_model(folder, model)
    card.write(folder / CARD)


def train_as_authors(category: Category, options: TrainingOptions) -> Aand:
    """Both stages of `authors_recipe`, in float32, on what `train` would train on, in as many epochs."""
    device = find_device(options.device)
    kept, _ = split_holdout(category.train, options.holdout, options.seed)
    recipe = options.recipe.for_pictures(len(kept))
    torch.manual_seed(options.seed)
    model = Aand(options.backbone, options.size)
    load_teacher(model.teacher, model.backbone, options.weights)
    amplifying, distilling = their_losses(model.to(device), device)
    rng = np.random.default_rng(options.seed)
    spoilt, good = (OneAtATime(kept, options.size, spoil, rng) for spoil in (True, False))

    def stage_one(rows: Tensor, generator: torch.Generator) -> Losses:
        return amplifying(*batch_of(spoilt, rows))

    def stage_two(rows: Tensor, generator: torch.Generator) -> Losses:
        return distilling(batch_of(good, rows)[0])

    amplify, distil = optimisers(model, recipe)
    first = Stage(stage_one, recipe.epochs_amplify, len(kept), recipe, amplify, options.seed)
    run_stage(first, Progress("amplify"), lambda *_: None, Quiet())
    model.train()
    second = replace(first, step=stage_two, epochs=recipe.epochs_distill, optimiser=distil)
    run_stage(second, Progress("distill"), lambda *_: None, Quiet())
    return model.eval()


def batch_of(pictures: OneAtATime, rows: Tensor) -> list[Tensor]:
    """Pictures (B, 3, S, S), masks and foregrounds (B, 1, S, S) of these rows."""
    stacked: list[Tensor] = default_collate([pictures[int(row)] for row in rows])
    return stacked


def table(accuracy: dict[str, Any]) -> list[str]:
    """Lines of the report."""
    recipe = accuracy["recipe"]
    lines = [
        "",
        f"At equal accuracy? Both trained on {accuracy['trained_on']} pictures of {accuracy['category']} "
        f"({accuracy['held_out']} held out) for {recipe['epochs_amplify']} + {recipe['epochs_distill']} epochs, batch "
        f"{recipe['batch']}, seed {accuracy['seed']}; the last epoch, judged on {accuracy['test']} test pictures:",
        "",
        "| | image AUROC | pixel AUROC | AUPRO |",
        "|---|---|---|---|",
    ]
    for name, told in (("ours", "ours"), ("authors", "the authors' recipe")):
        values = [accuracy[name][figure] for figure in ("image_auroc", "pixel_auroc", "aupro")]
        lines.append(f"| {told} | " + " | ".join("–" if each is None else f"{each:.4f}" for each in values) + " |")
    return lines
