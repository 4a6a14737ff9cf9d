"""Pictures a second of both training stages, beside the recipe of the authors' research code, on one machine.

    python -m benchmarks.training_speed --data DIR --backbone resnet18 --weights FILE

The baseline is `authors_recipe.py`. Ours decodes once, makes anomalies in batches, runs the teacher once and to its
third stage, pairs only the sampled patches, keeps the advanced features, and takes bfloat16 where the machine has it.
Network, losses, batch and optimiser are the same. Both take turns, a few steps each; what is told is the median of
each one's steps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Sample, read_category
from aand_edge.model.aand import Aand
from aand_edge.model.choices import HARD_PATCHES
from aand_edge.model.weights import load_teacher
from aand_edge.training.compute import choose_compute
from aand_edge.training.loop import epoch_generator
from aand_edge.training.pictures import build_synthesiser, load_training
from aand_edge.training.recipe import Recipe
from aand_edge.training.stages import AdvancedFeatures, AmplifyStep, DistillStep
from benchmarks.authors_recipe import Step, descend, optimisers, their_steps


def our_steps(model: Aand, samples: list[Sample], recipe: Recipe, clock: Clock) -> tuple[Step, Step]:
    """A step of each stage; `clock` learns where its time goes."""
    compute = choose_compute("cpu")
    compute.place(model)
    with clock("decode and resize, once"):
        training = load_training(samples, model.size)
    synthesiser = build_synthesiser(training, None, epoch_generator(0, "textures", 0))
    with clock("advanced features, once"):
        features = AdvancedFeatures(model, training, compute, 4096)
    one, two = AmplifyStep(model, training, synthesiser, compute), DistillStep(model, features, compute, HARD_PATCHES)
    amplify, distil = optimisers(model, recipe)
    generator = epoch_generator(0, "amplify", 0)
    clock.watch(synthesiser, "__call__", "synthesis")
    clock.watch(model.teacher, "forward", "teacher")
    clock.watch(model, "restore", "bottleneck and student, forward")

    def step(stage: Any, optimiser: torch.optim.Optimizer, backward: str) -> None:
        rows = torch.randperm(len(training), generator=generator)[: recipe.batch]
        losses = stage(rows, generator)
        with clock(backward):
            descend(optimiser, torch.stack(list(losses.values())).sum())

    return (
        lambda: step(one, amplify, "RAA, backward"),
        lambda: step(two, distil, "bottleneck and student, backward"),
    )


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Time every call of a method from now on."""
        method = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            with self(part):
                return method(*arguments)

        if name == "__call__":  # looked up on the class
            owner.__class__ = type(type(owner).__name__, (type(owner),), {"__call__": lambda _, *a: timed(*a)})
        else:
            object.__setattr__(owner, name, timed)


def main() -> None:
    """Measure in turns, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--category")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4, help="of a turn; the first is not counted")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="processes of the baseline's loader")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training-speed"))
    options = parser.parse_args()
    result = measure(options)
    write_json(options.out.with_suffix(".json"), result)
    write_text(options.out.with_suffix(".md"), markdown(result))
    print(markdown(result))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds a picture of each way and stage, and where ours go."""
    torch.manual_seed(0)
    samples = list(read_category(options.data, "auto", options.category).train)
    recipe, clock = Recipe(batch=options.batch), Clock()
    models = [Aand(options.backbone, options.size) for _ in range(2)]
    for model in models:
        load_teacher(model.teacher, model.backbone, options.weights)
    ours = our_steps(models[0], samples, recipe, clock)
    once = dict(clock.seconds)
    theirs = their_steps(models[1], samples, recipe, options.workers)
    ways = {
        (who, stage): step
        for who, steps in (("ours", ours), ("authors", theirs))
        for stage, step in zip((1, 2), steps, strict=True)
    }
    seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    parts: dict[int, dict[str, float]] = {1: {}, 2: {}}
    for _ in range(options.turns):
        for (who, stage), step in ways.items():
            step()
            clock.seconds.clear()
            for _ in range(options.steps - 1):
                start = time.perf_counter()
                step()
                seconds[who, stage].append(time.perf_counter() - start)
            if who == "ours":
                for part, spent in clock.seconds.items():
                    parts[stage][part] = parts[stage].get(part, 0.0) + spent
    per_picture = {way: median(each) / options.batch for way, each in seconds.items()}
    return {
        "backbone": options.backbone,
        "size": options.size,
        "batch": options.batch,
        "number_format": str(choose_compute("cpu").dtype),
        "pictures_a_second": {f"{who}, stage {stage}": 1 / each for (who, stage), each in per_picture.items()},
        "times_as_fast": {stage: per_picture["authors", stage] / per_picture["ours", stage] for stage in (1, 2)},
        "paper_schedule": (100 * per_picture["authors", 1] + 120 * per_picture["authors", 2])
        / (100 * per_picture["ours", 1] + 120 * per_picture["ours", 2] + sum(once.values()) / len(samples)),
        "shares": {s: {p: t / sum(seconds["ours", s]) for p, t in each.items()} for s, each in parts.items()},
        "once_seconds": once,
        "device": describe_device(),
    }


def _told(shares: dict[str, float]) -> str:
    """The largest first."""
    return ", ".join(f"{part} {share:.0%}" for part, share in sorted(shares.items(), key=lambda each: -each[1]))


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    rates, shares = result["pictures_a_second"], result["shares"]
    lines = [
        f"# Training speed, {result['backbone']} at {result['size']}², batch {result['batch']}",
        "",
        f"{device_line(result['device'])}. Ours in {result['number_format']}.",
        "",
        "| | stage one, pictures/s | stage two, pictures/s |",
        "|---|---|---|",
        f"| ours | {rates['ours, stage 1']:.1f} | {rates['ours, stage 2']:.1f} |",
        f"| the authors' recipe | {rates['authors, stage 1']:.1f} | {rates['authors, stage 2']:.1f} |",
        f"| | {result['times_as_fast'][1]:.1f}× | {result['times_as_fast'][2]:.1f}× |",
        "",
        f"Over the paper's 100 + 120 epochs, what is done once included: **{result['paper_schedule']:.1f}×**.",
        "",
        "Where our time goes:",
        "",
        *(f"- stage {stage}: {_told(each)}" for stage, each in shares.items()),
        "- once: " + ", ".join(f"{part} {spent:.1f} s" for part, spent in result["once_seconds"].items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
