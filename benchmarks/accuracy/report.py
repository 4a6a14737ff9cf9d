"""The rows of all runs as one Markdown page, with tables like the paper's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.accuracy.methods import METHODS

Row = dict[str, Any]
Cell = Callable[[Sequence[Row]], str]  # of the rows that a method has of one line
FIGURES = {"image_auroc": "Image AUROC", "pixel_auroc": "Pixel AUROC", "aupro": "AUPRO"}
PROTOCOL = (
    "Last epoch of a fixed schedule, whole test split; no test picture enters training or chooses an epoch or a "
    "setting of a run. All three levels weigh 1 in the map, as in the paper (`--levels equal`). Mean ± standard "
    "deviation over seeds; a seed draws the hold-out, the weights and the order. Nearest neighbours remember the "
    "pictures that the other methods train on."
)
SECONDS = "Seconds of training, with whatever else the machine did: upper bounds"


def page(title: str, rows: Sequence[Row], note: str = "") -> str:
    """The whole page; what failed is told of at its end."""
    good = [row for row in rows if "failed" not in row]
    machines = "; ".join(sorted({row["machine"] for row in good}))
    seeds = ", ".join(map(str, sorted({row["seed"] for row in good})))
    lines = [
        f"# {title}",
        "",
        " ".join(filter(None, (f"{machines}.", note))),
        "",
        f"{schedule(good)}Seeds {seeds}. {PROTOCOL}",
        "",
    ]
    for key, name in FIGURES.items():
        lines += [f"## {name}", "", *table(good, spread_of(key)), ""]
    lines += [f"## {SECONDS}", "", *table(good, seconds), ""]
    failed = [
        f"- {label(row)}, {row['method']}, seed {row['seed']}: {row['failed']}" for row in rows if "failed" in row
    ]
    return "\n".join([*lines, "## Failed", "", *failed, ""] if failed else lines)


def schedule(rows: Sequence[Row]) -> str:
    """What the recipes say, in words."""
    recipes = {str(row["recipe"]): row["recipe"] for row in rows if METHODS[row["method"]].trained}
    return "".join(
        f"{each['epochs_amplify']} + {each['epochs_distill']} epochs, at least {each['steps_amplify']} + "
        f"{each['steps_distill']} steps, batch {each['batch']}, learning rate {each['learning_rate']}, "
        f"{each['schedule']} schedule. "
        for each in recipes.values()
    )


def table(rows: Sequence[Row], cell: Cell) -> list[str]:
    """A line for each category and number of pictures, a column a method; the mean of several categories last."""
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    lines = ["| | " + " | ".join(METHODS[method].title for method in methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for name in dict.fromkeys(map(label, rows)):
        lines.append(_line(name, methods, [row for row in rows if label(row) == name], cell))
    count = len({row["shown"] for row in rows})
    if count > 1:
        lines.append(_line(f"**mean of {count} categories**", methods, rows, cell))
    return lines


def _line(name: str, methods: Sequence[str], rows: Sequence[Row], cell: Cell) -> str:
    groups = ([row for row in rows if row["method"] == method] for method in methods)
    return f"| {name} | " + " | ".join(cell(group) if group else "" for group in groups) + " |"


def label(row: Row) -> str:
    """Of a row's line."""
    return f"{row['shown']}, {'all' if row['pictures'] is None else row['pictures']} pictures"


def spread_of(key: str) -> Cell:
    """Mean ± standard deviation over seeds of a figure, in per cent; each seed's figure is its mean over categories."""

    def cell(rows: Sequence[Row]) -> str:
        seeds = sorted({row["seed"] for row in rows})
        found = [[row[key] for row in rows if row["seed"] == seed and row[key] is not None] for seed in seeds]
        values = [100 * mean(each) for each in found if each]
        if not values:
            return ""
        return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")

    return cell


def seconds(rows: Sequence[Row]) -> str:
    """The mean of both stages' time."""
    return f"{mean(sum(row['seconds'].values()) for row in rows):.0f}"
