"""`aand-edge inspect` and `aand-edge doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aand_edge.cli.options import CategoryName, Data, Json, Layout

if TYPE_CHECKING:
    from aand_edge.data.checks import DataReport


def command(
    file: Annotated[Path, typer.Argument(help="A graph (.onnx), an engine, a manifest or a model's folder.")],
    as_json: Json = False,
) -> None:
    """Say what a graph, an engine or a model is, and whether it is whole and belongs to this machine."""
    from aand_edge.cli.show import answer, facts
    from aand_edge.errors import UsageError

    if not file.exists():
        raise UsageError(f"There is no file {file}", "Check the path.")
    found = _facts_of(file)
    answer(found, as_json, facts(str(file), list(_flat(found))))


def _facts_of(file: Path) -> dict[str, Any]:
    from aand_edge.artifacts import GraphFacts, ModelCard, sha256_file
    from aand_edge.engines.load import check_engine, read_manifest
    from aand_edge.engines.registry import find_backend

    if file.is_dir():
        return ModelCard.read(file / "card.json").model_dump(mode="json")
    if file.name == "card.json":
        return ModelCard.read(file).model_dump(mode="json")
    if file.suffix == ".onnx" and not file.with_suffix(".json").is_file():
        return {**GraphFacts.from_graph(file).__dict__, "sha256": sha256_file(file)}
    manifest = read_manifest(file)
    check_engine(file.parent / manifest.engine, manifest, find_backend(manifest.backend))
    return manifest.model_dump(mode="json")


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and len(value) > 4:
            rows.append((prefix + key, f"{len(value)} values"))
        else:
            rows.append((prefix + key, value))
    return rows


def doctor(
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    as_json: Json = False,
) -> None:
    """Say what this machine can build and run, and with --data whether the pictures can be trained on."""
    from aand_edge.bench.device import describe_device
    from aand_edge.cli.lookup import open_category
    from aand_edge.cli.show import answer, facts
    from aand_edge.config import Workspace
    from aand_edge.engines.registry import availability

    workspace = Workspace.open()
    reply: dict[str, Any] = {
        "device": describe_device(),
        "backends": {name: reason or "ok" for name, reason in availability().items()},
    }
    report = None
    if data is not None or workspace.settings.data.root is not None:
        report = _check(open_category(workspace, data, layout, category))
        reply["data"] = report.to_dict()
    answer(reply, as_json, facts("aand-edge doctor", _flat(reply)))
    if report is not None:
        report.raise_for_problems()


def _check(parts: Any) -> DataReport:
    from aand_edge.cli.show import ticking
    from aand_edge.data.checks import check_category

    with ticking("pictures") as tick:
        return check_category(parts, tick)
