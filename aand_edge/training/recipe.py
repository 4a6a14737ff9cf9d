"""How long and how fast both stages learn."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from aand_edge.errors import UsageError

Schedule = Literal["step", "cosine"]


LARGEST_RATE = 1.0  # Adam moves each weight by about the rate a step, and weights are far below 1


@dataclass(frozen=True)
class Recipe:
    """The schedule of a training run.

    epochs_amplify, epochs_distill   passes over the training pictures, stages one and two
    batch                            pictures a step
    learning_rate                    at most 1, of Adam (β = 0.5, 0.999; no weight decay)
    schedule                         "step": ×0.2 at 80 % and at 90 % of a stage; "cosine": to zero after a warm-up
    steps_amplify, steps_distill     the fewest steps of a stage: few pictures are passed over more often
    """

    epochs_amplify: int = 100
    epochs_distill: int = 120
    batch: int = 16
    learning_rate: float = 0.005
    schedule: Schedule = "step"
    steps_amplify: int = 0
    steps_distill: int = 0

    def __post_init__(self) -> None:
        if self.epochs_amplify < 0 or self.epochs_distill < 1:
            raise UsageError("A training needs at least one epoch of distillation", "Raise --epochs-distill.")
        if min(self.steps_amplify, self.steps_distill) < 0:
            raise UsageError("A stage cannot have a negative number of steps", "Take 0 or more.")
        if self.batch < 2:
            raise UsageError(f"A batch of {self.batch} is too small for BatchNorm", "Take --batch 2 or more.")
        if not 0 < self.learning_rate <= LARGEST_RATE:
            raise UsageError(
                f"A learning rate of {self.learning_rate:g} cannot learn",
                f"Take a number above 0, and {LARGEST_RATE:g} at most; the paper's is {Recipe.learning_rate:g}.",
            )
        if self.schedule not in get_args(Schedule):
            raise UsageError(f"There is no schedule '{self.schedule}'", f"Choose {' or '.join(get_args(Schedule))}.")

    def for_pictures(self, count: int) -> Recipe:
        """The recipe with the epochs that give `count` training pictures the fewest steps asked for, or more."""
        steps = max(1, -(-(count - 1) // self.batch))  # of an epoch: a last single picture joins the batch before it
        return replace(
            self,
            epochs_amplify=max(self.epochs_amplify, -(-self.steps_amplify // steps)),
            epochs_distill=max(self.epochs_distill, -(-self.steps_distill // steps)),
        )

    def factor(self, progress: float) -> float:
        """Of the learning rate, when `progress` (0 … 1) of a stage is done."""
        if self.schedule == "step":
            return 0.04 if progress >= 0.9 else 0.2 if progress >= 0.8 else 1.0
        if progress < WARM_UP:
            return (progress + 1e-3) / (WARM_UP + 1e-3)
        return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the model card."""
        return asdict(self)


WARM_UP = 0.05  # of a stage: Adam's first steps at full rate throw the student off on a short schedule

PRESETS = {
    "paper": Recipe(),
    # A CPU's schedule: it must decay and be finished, or image AUROC swings from epoch to epoch.
    "short": Recipe(
        epochs_amplify=4,
        epochs_distill=12,
        batch=4,
        learning_rate=0.005,
        schedule="cosine",
        steps_amplify=100,
        steps_distill=300,
    ),
}


def find_recipe(preset: str, **changes: Any) -> Recipe:
    """The preset of that name, with those of `changes` that are not None; epochs that are given are kept to."""
    if preset not in PRESETS:
        raise UsageError(f"There is no preset '{preset}'", f"Choose one of: {', '.join(PRESETS)}.")
    given = {key: value for key, value in changes.items() if value is not None}
    kept_to = {f"steps_{stage}": 0 for stage in ("amplify", "distill") if f"epochs_{stage}" in given}
    return replace(PRESETS[preset], **{**kept_to, **given})
