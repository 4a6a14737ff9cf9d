"""Pictures a second of both training stages, beside the recipe of the authors' research code, on one machine.

    python -m benchmarks.training_speed --data DIR --backbone resnet18 --weights FILE
    python -m benchmarks.training_speed --data DIR --backbone resnet18 --weights FILE --accuracy    # trains both, too

The baseline is `authors_recipe.py`. Ours decodes once, makes anomalies in batches, runs the teacher once and to its
third stage, pairs only the sampled patches, keeps the advanced features, and takes bfloat16 in stage two where the
machine has it; a row of its own says what that alone brings. Network, losses, batch and optimiser are the same. All
take turns, a few steps each; what is told is the median of each one's steps. Where our time goes is found in steps of
their own, since a clock that waits for a GPU slows it.

With --accuracy both are trained on one split, with one schedule and seed, and judged on the test split: whether they
reach the same is measured too. Writes results/training-speed.json and .md.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Category, read_category
from aand_edge.model.aand import Aand
from aand_edge.model.weights import load_teacher
from aand_edge.training.compute import Compute, choose_compute
from aand_edge.training.options import TrainingOptions
from aand_edge.training.pictures import load_training
from aand_edge.training.recipe import PRESETS, Recipe, find_recipe
from aand_edge.training.stages import AdvancedFeatures
from benchmarks.authors_recipe import Step, their_steps
from benchmarks.report import add_out, as_program, parser_of, write_report
from benchmarks.training_accuracy import compare, table
from benchmarks.training_clock import Clock, Ours, wait

OURS, OURS_FLOAT32, AUTHORS = "ours", "ours, float32", "authors"
CACHE_MB = 4096
Ways = dict[tuple[str, int], Step]  # by who and stage


def main() -> None:
    """Measure in turns, and write what came out."""
    parser = parser_of("benchmarks.training_speed", __doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--category")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4, help="of a turn, 2 or more; the first is not counted")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="processes of the baseline's loader")
    parser.add_argument("--accuracy", action="store_true", help="train both and judge them")
    parser.add_argument("--preset", choices=PRESETS, default="short", help="schedule of --accuracy")
    parser.add_argument("--epochs-amplify", type=int, help="of --accuracy")
    parser.add_argument("--epochs-distill", type=int, help="of --accuracy")
    parser.add_argument("--seed", type=int, default=0)
    add_out(parser, "training-speed")
    options = parser.parse_args()
    if options.steps < 2:
        parser.error("--steps must be 2 or more: the first of a turn is not counted")
    category = read_category(options.data, "auto", options.category)
    result = measure(category, options)
    if options.accuracy:
        result["accuracy"] = compare(category, training_options(options))
    write_report(options.out, result, markdown(result))


def training_options(options: Namespace) -> TrainingOptions:
    """What both are trained with, for --accuracy."""
    epochs = {"epochs_amplify": options.epochs_amplify, "epochs_distill": options.epochs_distill}
    return TrainingOptions(
        backbone=options.backbone,
        size=options.size,
        weights=options.weights,
        recipe=find_recipe(options.preset, **epochs),
        seed=options.seed,
        device=options.device,
    )


def measure(category: Category, options: Namespace) -> dict[str, Any]:
    """Pictures a second of each way and stage, and where ours go, as plain values."""
    compute = choose_compute(options.device)
    clock = Clock(compute.device)
    count = len(category.train)
    ways = contenders(category, options, compute, clock)
    once = dict(clock.seconds)
    seconds, parts = take_turns(ways, options.turns, options.steps - 1, clock)
    each = {way: median(times) / options.batch for way, times in seconds.items()}
    whole = 100 * each[OURS, 1] + 120 * each[OURS, 2] + sum(once.values()) / count
    return {
        "backbone": options.backbone,
        "size": options.size,
        "batch": options.batch,
        "pictures": count,
        "compute": str(compute),
        "number_format": str(compute.dtype).removeprefix("torch."),
        "pictures_a_second": {f"{who}, stage {stage}": 1 / spent for (who, stage), spent in each.items()},
        "times_as_fast": {str(stage): each[AUTHORS, stage] / each[OURS, stage] for stage in (1, 2)},
        "paper_schedule": (100 * each[AUTHORS, 1] + 120 * each[AUTHORS, 2]) / whole,
        "shares": {str(stage): shares(spent) for stage, spent in parts.items()},
        "once_seconds": once,
        "device": describe_device(),
    }


def contenders(category: Category, options: Namespace, compute: Compute, clock: Clock) -> Ways:
    """Every way's steps; what ours does once is done here, and timed."""
    torch.manual_seed(options.seed)
    recipe, samples = Recipe(batch=options.batch), list(category.train)
    model, plain, other = (_loaded(options) for _ in range(3))
    for each in (model, plain):
        compute.place(each)
    clock.on = True
    with clock("decode and resize"):
        training = load_training(samples, options.size)
    with clock("advanced features"):
        features = AdvancedFeatures(model, training, compute, CACHE_MB)
    clock.on = False
    ours = Ours(training, features, recipe, clock)
    ways: Ways = dict(zip(((OURS, 1), (OURS, 2)), ours.steps(model, compute), strict=True))
    if compute.dtype is not torch.float32:  # stage one computes in float32 anyway
        ways[OURS_FLOAT32, 2] = ours.steps(plain, Compute(compute.device, torch.float32))[1]
    theirs = their_steps(other, samples, recipe, options.workers, compute.device)
    return ways | dict(zip(((AUTHORS, 1), (AUTHORS, 2)), theirs, strict=True))


def _loaded(options: Namespace) -> Aand:
    model = Aand(options.backbone, options.size)
    load_teacher(model.teacher, model.backbone, options.weights)
    return model


def take_turns(
    ways: Ways, turns: int, steps: int, clock: Clock
) -> tuple[dict[tuple[str, int], list[float]], dict[int, dict[str, float]]]:
    """Seconds of every step of each way; and seconds by part of ours, from steps that are not among them."""
    seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    parts: dict[int, dict[str, float]] = {1: defaultdict(float), 2: defaultdict(float)}
    for _ in range(turns):
        for (who, stage), step in ways.items():
            step()
            for _ in range(steps):
                seconds[who, stage].append(_timed(step, clock))
            if who == OURS:
                for part, spent in _by_part(step, steps, clock).items():
                    parts[stage][part] += spent
    return seconds, parts


def _timed(step: Step, clock: Clock) -> float:
    wait(clock.device)
    start = time.perf_counter()
    step()
    wait(clock.device)
    return time.perf_counter() - start


def _by_part(step: Step, steps: int, clock: Clock) -> dict[str, float]:
    clock.seconds.clear()
    clock.on = True
    for _ in range(steps):
        step()
    clock.on = False
    return dict(clock.seconds)


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Of all that was spent: they add up to 1."""
    return {part: spent / sum(seconds.values()) for part, spent in seconds.items()}


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    rates, fast = result["pictures_a_second"], result["times_as_fast"]
    lines = [
        f"# Training speed, {result['backbone']} at {result['size']}², batch {result['batch']}",
        "",
        f"{device_line(result['device'])}. Ours on {result['compute']}.",
        "",
        "| | stage one, pictures/s | stage two, pictures/s |",
        "|---|---|---|",
        f"| ours | {rates['ours, stage 1']:.1f} | {rates['ours, stage 2']:.1f} |",
    ]
    if f"{OURS_FLOAT32}, stage 2" in rates:
        lines.append(f"| ours, all in float32 | the same | {rates[f'{OURS_FLOAT32}, stage 2']:.1f} |")
    lines += [
        f"| the authors' recipe | {rates['authors, stage 1']:.1f} | {rates['authors, stage 2']:.1f} |",
        f"| ours beside theirs | {fast['1']:.1f}× | {fast['2']:.1f}× |",
        "",
        f"Over the paper's 100 + 120 epochs of {result['pictures']} pictures, what is done once included: "
        f"**{result['paper_schedule']:.1f}×**.",
        "",
        "Where our time goes:",
        "",
        *(f"- stage {stage}: {_told(each)}" for stage, each in result["shares"].items()),
        "- once: " + ", ".join(f"{part} {spent:.1f} s" for part, spent in result["once_seconds"].items()),
        *(table(result["accuracy"]) if "accuracy" in result else ()),
    ]
    return "\n".join(lines) + "\n"


def _told(parts: Mapping[str, float]) -> str:
    """The largest first; all of them, so that they add up."""
    return ", ".join(f"{part} {share:.1%}" for part, share in sorted(parts.items(), key=lambda each: -each[1]))


if __name__ == "__main__":
    as_program(main)
