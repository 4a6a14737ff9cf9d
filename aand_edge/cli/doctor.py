"""`aand-edge doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aand_edge.cli.options import CategoryName, Data, Json, Layout
from aand_edge.errors import AandEdgeError

if TYPE_CHECKING:
    from aand_edge.data.checks import DataReport
    from aand_edge.data.layouts import Category


def command(
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    as_json: Json = False,
) -> None:
    """Say what this machine can build and run. With --data, also whether the pictures can be trained on."""
    from aand_edge.bench.device import describe_device
    from aand_edge.cli.lookup import open_category
    from aand_edge.cli.options import refuse_without
    from aand_edge.cli.show import answer, facts, rows_of
    from aand_edge.config import Workspace
    from aand_edge.engines.machine import backend_states, machine_facts

    workspace = Workspace.open()
    has_pictures = data is not None or workspace.settings.data.root is not None
    refuse_without("--data, or root under [data]", has_pictures, layout=layout, category=category)
    states = backend_states()
    reply: dict[str, Any] = {
        "device": describe_device(),
        "machine": machine_facts(),
        "backends": {each.name: each.builds or each.runs or "ok" for each in states},
    }
    rows = [*rows_of({**reply["device"], **reply["machine"]}), *((each.name, each.words()) for each in states)]
    report, failure = None, None
    if has_pictures:
        try:
            report = _check(open_category(workspace, data, layout, category))
            reply["data"] = report.to_dict()
            rows = [*_remarks(report), *rows, *_pictures(report)]
        except AandEdgeError as error:  # a device has no pictures, and is to be described all the same
            failure = error
    answer(reply, as_json, facts("aand-edge doctor", rows))
    if failure is not None:
        raise failure
    if report is not None:
        report.raise_for_problems()


def _check(category: Category) -> DataReport:
    from aand_edge.cli.show import ticking
    from aand_edge.data.checks import check_category

    with ticking("pictures") as tick:
        return check_category(category, tick)


def _remarks(report: DataReport) -> list[tuple[str, object]]:
    """What is wrong with the pictures, then what is odd: the first thing to read."""
    return [
        *(("problem", problem) for problem in report.problems),
        *(("warning", warning) for warning in report.warnings),
    ]


def _pictures(report: DataReport) -> list[tuple[str, object]]:
    counts = [
        (f"{split} pictures", ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "none")
        for split, kinds in report.counts.items()
    ]
    sizes = ", ".join(f"{number} of {size}" for size, number in report.sizes.items())
    return [
        *counts,
        ("sizes", sizes or "none"),
        ("SHA-256 of training pictures", report.digest[:12]),
    ]
