"""`aand-edge bench --roofline`: graphs in place of engines, and nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aand_edge.errors import ArtefactMismatchError, UsageError

if TYPE_CHECKING:
    from aand_edge.bench.roofline import Roofline
    from aand_edge.config import Workspace


def show_rooflines(workspace: Workspace, names: list[str], out: Path | None, as_json: bool) -> None:
    """Print the floors of the named graphs, engines and models, or of every graph of the workspace.

    out   folder for roofline.json and roofline.md; None: nothing is written
    """
    from aand_edge.bench.roofline import to_dict, to_table, write_rooflines
    from aand_edge.cli.show import answer, say

    found = _counted(_graphs(workspace, names), bool(names))
    if out is not None:
        write_rooflines(found, out)
        say(f"report: {out / 'roofline.md'}")
    answer(to_dict(found), as_json, to_table(found))


def _counted(graphs: list[Path], named: bool) -> list[Roofline]:
    """The rooflines of graphs; one that was not named and says nothing of its layers is told and left out."""
    from aand_edge.bench.roofline import Roofline
    from aand_edge.cli.show import say

    found = []
    for graph in graphs:
        try:
            found.append(Roofline.of(graph))
        except ArtefactMismatchError as error:
            if named:
                raise
            say(f"left out: {error}")
    if not found:
        raise UsageError("No graph says what its layers cost", "Write them again with `aand-edge export`.")
    return found


def _graphs(workspace: Workspace, names: list[str]) -> list[Path]:
    if names:
        return [graph for name in names for graph in _of_name(workspace, name)]
    found = sorted(workspace.models.glob("*/*.onnx"))
    if not found:
        raise UsageError(f"{workspace.models} holds no graph", "Write one with `aand-edge export`.")
    return found


def _of_name(workspace: Workspace, name: str) -> list[Path]:
    """A graph's file, the graph that an engine was built from, or all graphs of a model."""
    from aand_edge.cli.lookup import find_engines, folder_of_model
    from aand_edge.engines.load import read_manifest

    if Path(name).suffix == ".onnx" and Path(name).is_file() and not Path(name).with_suffix(".json").is_file():
        return [Path(name)]
    for folder in (Path(name), workspace.models / name):
        if found := sorted(folder.glob("*.onnx")):
            return found
    manifest = read_manifest(find_engines(workspace, [name])[0])
    graph = folder_of_model(workspace, manifest.model) / manifest.graph
    if not graph.is_file():
        raise UsageError(
            f"The graph of {manifest.name}, {graph}, is not on this machine", "Copy the model's folder here."
        )
    return [graph]
