"""AAND against reverse distillation, its ablations and nearest neighbours: categories × methods × seeds.

    python -m benchmarks.accuracy --data ROOT --backbone resnet18 --weights FILE --preset short --name mvtec-resnet18
    python -m benchmarks.accuracy --data ROOT … --methods aand,rd --train-images 10,30,100,all

All categories under ROOT in turn, or ROOT itself. A run that is recorded under benchmarks/work is not repeated, so an
interrupted benchmark goes on, and one that asks for more does only what is new. A record is known by what was asked
for, the names and sizes of the pictures and the content of the weights file, wherever they lie. Where Ray is installed
(the extra `ray`) the runs spread over its cluster, one Ray task each; ROOT must then lie at the same path on every
machine.
Writes results/accuracy-NAME.json and .md: what the plan asks for and is recorded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from aand_edge.artifacts import write_json, write_text
from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.training.recipe import find_recipe
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.plan import Row, Run, categories, execute, failed_row, left, record, recorded
from benchmarks.accuracy.report import FIGURES, page
from benchmarks.accuracy.spread import Share, default_threads, has_ray, in_sequence, over_ray

HERE = Path(__file__).resolve().parents[1]


def plan(options: argparse.Namespace) -> list[Run]:
    """Every run that is asked for, seeds outermost: a benchmark cut short has whole seeds."""
    recipe = find_recipe(
        options.preset,
        epochs_amplify=options.epochs_amplify,
        epochs_distill=options.epochs_distill,
        batch=options.batch,
        learning_rate=options.lr,
    )
    threads = options.threads or default_threads(alone=_alone(options))
    return [
        Run(
            data=str(options.data.resolve()),
            layout=options.layout,
            category=category,
            backbone=options.backbone,
            weights=str(options.weights.resolve()) if options.weights else None,
            size=options.size,
            recipe=recipe.to_dict(),
            method=method,
            seed=seed,
            pictures=pictures,
            device=options.device,
            threads=threads,
        )
        for seed in options.seeds
        for category in categories(options.data)
        for pictures in options.train_images
        for method in options.methods
    ]


def carry_out(runs: Sequence[Run], options: argparse.Namespace) -> list[Row]:
    """The rows of all runs; those that are not recorded are run, and recorded as they end."""
    work: Path = options.work.resolve()
    rest = left(runs, work)
    failed: dict[str, Row] = {}
    print(f"{len(runs)} runs, {len(runs) - len(rest)} of them recorded", flush=True)
    for number, (run, row) in enumerate(_spread(rest, work, options)):
        record(run, work, row)
        if "failed" in row:
            failed[run.name] = row
        print(f"{number + 1}/{len(rest)}  {run.name}  {told(row)}", flush=True)
    return [failed.get(run.name) or recorded(run, work) or {} for run in runs]


def _spread(runs: Sequence[Run], work: Path, options: argparse.Namespace) -> Iterator[tuple[Run, Row]]:
    task = partial(execute, work=work, keep=options.keep)
    if not runs or _alone(options):
        return in_sequence(task, runs)
    return over_ray(task, runs, Share(runs[0].threads, options.gpus), failed_row, options.ray_address)


def _alone(options: argparse.Namespace) -> bool:
    """Whether runs come one after the other."""
    return bool(options.in_sequence) or not has_ray()


def without_folders(row: Row) -> Row:
    """A row to publish: names of pictures and weights, and not where they lay on somebody's machine."""
    return {key: Path(value).name if key in ("data", "weights") and value else value for key, value in row.items()}


def told(row: Row) -> str:
    """A row in one line."""
    if "failed" in row:
        return str(row["failed"])
    figures = "  ".join(f"{key} {row[key]:.3f}" for key in FIGURES if row[key] is not None)
    return f"{figures}  {row['wall_s']:.0f} s"


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--backbone", default="wide_resnet50_2")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--epochs-amplify", type=int)
    parser.add_argument("--epochs-distill", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--methods", type=_methods, default=list(METHODS), help=", ".join(METHODS))
    parser.add_argument("--seeds", type=_numbers, default=[0, 1, 2], help="with commas")
    parser.add_argument("--train-images", type=_counts, default=[None], help="with commas; all: every one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=_count, help="CPU cores of one run; all, with Ray 4 or half of them at most")
    parser.add_argument("--gpus", type=float, default=0.5, help="share of a GPU that one run takes, with Ray")
    parser.add_argument("--ray-address", help="of a running Ray cluster; `auto` finds the one on this machine")
    parser.add_argument("--in-sequence", action="store_true", help="one run after the other, even where Ray is")
    parser.add_argument("--work", type=Path, default=HERE / "work" / "accuracy", help="records and unfinished models")
    parser.add_argument("--keep", action="store_true", help="leave the models under work/models, for scores.py")
    parser.add_argument("--name", help="of the results; the data root's and the backbone's by default")
    parser.add_argument("--note", default="", help="a sentence for the page, such as what else the machine did")
    return parser.parse_args(arguments)


def _methods(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in METHODS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no method '{unknown[0]}'; choose of {', '.join(METHODS)}")
    return text.split(",")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of cores")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _counts(text: str) -> list[int | None]:
    return [None if each == "all" else int(each) for each in text.split(",")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and write what came out; 1 where a run failed."""
    options = read_options(arguments)
    try:
        if not options.data.is_dir():
            raise UsageError(f"There is no folder {options.data}", "Check --data.")
        runs = plan(options)
        rows = carry_out(runs, options)
    except AandEdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    name = options.name or f"{options.data.resolve().name}-{options.backbone}"
    title = f"Accuracy: {name}, the {options.preset} schedule"
    out = HERE / "results" / f"accuracy-{name}"
    published = [without_folders(row) for row in rows]
    write_json(out.with_suffix(".json"), {"title": title, "note": options.note, "rows": published})
    write_text(out.with_suffix(".md"), page(title, rows, options.note))
    print(out.with_suffix(".md").read_text(encoding="utf-8"))
    return 1 if any("failed" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
