"""`aand-edge inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aand_edge.cli.options import Json

if TYPE_CHECKING:
    from aand_edge.config import Workspace


def command(
    what: Annotated[str, typer.Argument(help="A graph (.onnx), an engine, a manifest or a model: a file or a name.")],
    as_json: Json = False,
) -> None:
    """Say what a graph, an engine or a model is. Tells too whether it is whole and belongs to this machine."""
    from aand_edge.cli.show import answer, facts, rows_of
    from aand_edge.config import Workspace

    file = _find(Workspace.open(), what)
    found = _describe(file)
    answer(found, as_json, facts(str(file), rows_of(found)))


def _find(workspace: Workspace, what: str) -> Path:
    """A file or folder, or the name of an engine or a model of the workspace."""
    from aand_edge.cli.lookup import engines_there, models_there, or_elsewhere
    from aand_edge.errors import UsageError

    candidates = (
        Path(what),
        workspace.engines / f"{what}.json",
        workspace.engines / f"{what}.pending",
        workspace.engines / what,
        workspace.models / what,
    )
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        hint = or_elsewhere(workspace, f"{engines_there(workspace)} {models_there(workspace)}")
        raise UsageError(f"There is no file, engine or model '{what}'", hint)
    return found


def _describe(file: Path) -> dict[str, Any]:
    from aand_edge.artifacts import CARD, ModelCard

    if file.is_dir() and (file / CARD).is_file():
        return ModelCard.read(file / CARD).model_dump(mode="json")
    if file.name == CARD:
        return ModelCard.read(file).model_dump(mode="json")
    if file.suffix == ".onnx" and not file.with_suffix(".json").is_file():
        return _graph(file)
    return _engine(file)


def _graph(file: Path) -> dict[str, Any]:
    """Metadata of a graph and, where onnx is installed, what its nodes are. Exit code 4: it is damaged or invalid."""
    from aand_edge.artifacts import sha256_file
    from aand_edge.cli.show import say
    from aand_edge.graph_facts import GraphFacts, check_seal

    found = {**GraphFacts.from_graph(file).__dict__, "sha256": sha256_file(file)}
    if not check_seal(file):
        say(f"{file} carries no SHA-256 of its own, an older version wrote it: whether it is damaged cannot be told")
    try:
        from aand_edge.export.validate import validate
    except ModuleNotFoundError:
        return found
    report = validate(file)
    report.raise_for_problems(file)
    return {**found, **report.to_dict()}


def _engine(file: Path) -> dict[str, Any]:
    from aand_edge.artifacts import PendingEngine
    from aand_edge.engines.build import pending_path
    from aand_edge.engines.load import checked_manifest, manifest_path
    from aand_edge.errors import UsageError

    nothing_of_ours = UsageError(
        f"{file} is no graph, engine or model", "Name a .onnx file, an engine, its manifest or a model's folder."
    )
    if file.is_dir():  # `.` and `/` have no name that a manifest could lie beside
        raise nothing_of_ours
    beside = manifest_path(file)
    if not beside.is_file() and pending_path(beside).is_file():
        return {"accepted": False, **PendingEngine.read(pending_path(beside)).model_dump(mode="json")}
    if not beside.is_file() or '"engine_sha256"' not in beside.read_text(errors="replace"):
        raise nothing_of_ours
    return checked_manifest(file).model_dump(mode="json")
