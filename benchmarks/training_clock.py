"""Our training steps with a clock in them: every moment of a step belongs to one named part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from aand_edge.model.aand import Aand
from aand_edge.model.choices import HARD_PATCHES
from aand_edge.training.compute import Compute
from aand_edge.training.loop import Losses, epoch_generator
from aand_edge.training.loop import Step as Stage
from aand_edge.training.pictures import TrainingPictures, build_synthesiser
from aand_edge.training.recipe import Recipe
from aand_edge.training.stages import AdvancedFeatures, AmplifyStep, DistillStep
from benchmarks.authors_recipe import Step, optimisers


class Clock:
    """Seconds by part. A part inside another stops the outer one's time, so that the parts add up to the whole.

    While it is off it costs nothing; while it is on, a GPU is waited for at every border, which makes steps slower.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.on = device, False
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        if not self.on:
            yield
            return
        self._pass()
        self._open.append(part)
        try:
            yield
        finally:
            self._pass()
            self._open.pop()

    def timed(self, function: Callable[..., Any], part: str) -> Any:
        """The function, its calls timed from now on."""

        def call(*arguments: Any) -> Any:
            with self(part):
                return function(*arguments)

        return call

    def _pass(self) -> None:
        """The time since the last border goes to the part that is open."""
        wait(self.device)
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Ours:
    """What both formats of our recipe share: the pictures, and features that the teacher gave once."""

    training: TrainingPictures
    features: AdvancedFeatures
    recipe: Recipe
    clock: Clock

    def steps(self, model: Aand, compute: Compute) -> tuple[Step, Step]:
        """A step of each stage; `clock` learns where its time goes."""
        clock = self.clock
        synthesiser = build_synthesiser(self.training, None, epoch_generator(0, "textures", 0))
        model.teacher.forward = clock.timed(model.teacher.forward, "teacher")  # type: ignore[method-assign]
        model.restore = clock.timed(model.restore, "bottleneck and student, forward")  # type: ignore[method-assign]
        one = AmplifyStep(model, self.training, clock.timed(synthesiser, "synthesis"), compute)
        features = clock.timed(self.features, "features from the cache")
        two = DistillStep(model, features, compute, HARD_PATCHES)
        amplify, distil = optimisers(model, self.recipe)
        return (
            self._step(one, amplify, "RAA, forward and loss", "RAA, backward"),
            self._step(two, distil, "loss", "bottleneck and student, backward"),
        )

    def _step(self, stage: Stage, optimiser: torch.optim.Optimizer, forward: str, backward: str) -> Step:
        generator, clock = epoch_generator(0, "amplify", 0), self.clock

        def step() -> None:
            with clock("the rest"):
                rows = torch.randperm(len(self.training), generator=generator)[: self.recipe.batch]
                optimiser.zero_grad(set_to_none=True)
                with clock(forward):
                    losses: Losses = stage(rows, generator)
                with clock(backward):
                    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
                with clock("optimiser"):
                    optimiser.step()

        return step
