"""The loop that both stages share: epochs, schedule, finite losses, and snapshots to resume from.

What is random in an epoch is drawn from a generator seeded by (seed, stage, epoch). A run that was interrupted
therefore goes on from its last snapshot as if nothing had happened, to the same weights.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from aand_edge.errors import TrainingError
from aand_edge.training.recipe import Recipe

StageName = Literal["amplify", "distill"]
Losses = dict[str, Tensor]  # the parts of the loss; their sum is minimised
SNAPSHOT_SECONDS = 60.0  # at most this much work is lost by an interrupt, and an epoch


class Step(Protocol):
    """The losses of one batch, given its rows among the training pictures."""

    def __call__(self, rows: Tensor, generator: torch.Generator) -> Losses: ...


class Watcher(Protocol):
    """Is told what goes on."""

    def warned(self, sentence: str) -> None: ...

    def resumed(self, stage: StageName, epoch: int) -> None: ...

    def epoch_done(self, stage: StageName, epoch: int, epochs: int, losses: dict[str, float]) -> None: ...

    def batch_done(self, stage: StageName, epoch: int, epochs: int, batch: int, batches: int) -> None: ...


@dataclass
class Progress:
    """How far a run is: enough, with the weights and the optimiser's state, to go on."""

    stage: StageName
    epoch: int = 0  # epochs of this stage that are done
    history: list[dict[str, float]] = field(default_factory=list)  # mean losses, a row an epoch of both stages
    seconds: dict[str, float] = field(default_factory=dict)  # spent in each stage, interruptions left out


Save = Callable[[Progress, torch.optim.Optimizer], None]


def epoch_generator(seed: int, stage: str, epoch: int) -> torch.Generator:
    """A CPU generator that depends on these three alone."""
    digest = hashlib.sha256(f"{seed}/{stage}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def batches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """All rows in random order, in batches of `size`; a last single row joins the batch before it (BatchNorm)."""
    rows = list(torch.split(torch.randperm(count, generator=generator), size))
    if len(rows) > 1 and len(rows[-1]) == 1:
        rows[-2:] = [torch.cat(rows[-2:])]
    return rows


def make_optimiser(parameters: Sequence[nn.Parameter], recipe: Recipe) -> torch.optim.Adam:
    """Adam as the paper has it."""
    return torch.optim.Adam(parameters, lr=recipe.learning_rate, betas=(0.5, 0.999))


@dataclass(frozen=True)
class Stage:
    """One stage of a run: what a step does, and how many of them there are."""

    step: Step
    epochs: int
    pictures: int
    recipe: Recipe
    optimiser: torch.optim.Optimizer
    seed: int


def run_stage(stage: Stage, progress: Progress, save: Save, watcher: Watcher) -> None:
    """Train until all epochs are done, snapshotting on the way. Raises TrainingError on a loss that is not finite."""
    saved = time.monotonic()
    while progress.epoch < stage.epochs:
        start = time.monotonic()
        means = _run_epoch(stage, progress, watcher)
        progress.epoch += 1
        progress.history.append(means)
        progress.seconds[progress.stage] = progress.seconds.get(progress.stage, 0.0) + time.monotonic() - start
        watcher.epoch_done(progress.stage, progress.epoch, stage.epochs, means)
        if progress.epoch == stage.epochs or time.monotonic() - saved > SNAPSHOT_SECONDS:
            save(progress, stage.optimiser)
            saved = time.monotonic()


def _run_epoch(stage: Stage, progress: Progress, watcher: Watcher) -> dict[str, float]:
    """Mean losses of one epoch, by name."""
    recipe, optimiser = stage.recipe, stage.optimiser
    generator = epoch_generator(stage.seed, progress.stage, progress.epoch)
    plan = batches(stage.pictures, recipe.batch, generator)
    sums: dict[str, float] = {}
    for number, rows in enumerate(plan):
        rate = recipe.learning_rate * recipe.factor((progress.epoch + number / len(plan)) / stage.epochs)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        losses = stage.step(rows, generator)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        _refuse_non_finite(values, progress, number)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value / len(plan)
        watcher.batch_done(progress.stage, progress.epoch, stage.epochs, number + 1, len(plan))
    return sums


def _refuse_non_finite(values: dict[str, float], progress: Progress, batch: int) -> None:
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise TrainingError(
            f"The {broken[0]} loss is {values[broken[0]]} in batch {batch + 1} of epoch {progress.epoch + 1} "
            f"({progress.stage})",
            "Train again with a lower --lr and --fresh.",
        )


def in_chunks(count: int, size: int) -> Iterator[slice]:
    """Slices that cover range(count), `size` at a time."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
