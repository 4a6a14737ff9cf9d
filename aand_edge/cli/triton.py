"""`aand-edge export --triton DIR`: a graph or an engine for a server that many cameras share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aand_edge.errors import UsageError

if TYPE_CHECKING:
    from aand_edge.cli.graphs import GraphFiles
    from aand_edge.config import Workspace
    from aand_edge.engines.triton.repository import Packed


def serve_exported(
    workspace: Workspace, files: GraphFiles, repository: Path, max_batch: int | None, instances: int | None
) -> Packed:
    """Pack a graph that was just exported."""
    from aand_edge.cli.show import ticking
    from aand_edge.engines.triton.config import Serving
    from aand_edge.export.served import serve_graph

    serving = Serving(8 if max_batch is None else max_batch, instances or 1)
    rate = workspace.settings.threshold.false_rejects
    with ticking("accept") as tick:
        return serve_graph(repository, files.graph, files.holdout, serving, rate, tick)


def serve_engine(
    workspace: Workspace, model: str | None, engine: str, repository: Path, instances: int | None, as_json: bool
) -> None:
    """Pack a built engine and say what was packed; needs neither PyTorch nor onnx."""
    from aand_edge.cli.lookup import find_engines
    from aand_edge.cli.show import answer, facts
    from aand_edge.engines.triton.repository import pack_engine

    if model is not None:
        raise UsageError(f"Both the model {model} and the engine {engine} were named", "Leave one of them out.")
    packed = pack_engine(repository, find_engines(workspace, [engine])[0], instances or 1)
    answer({"triton": packed_reply(packed)}, as_json, facts(packed.manifest.name, packed_rows(packed)))


def packed_reply(packed: Packed) -> dict[str, Any]:
    """As plain values."""
    return {
        "folder": str(packed.folder),
        "version": packed.version,
        "manifest": packed.manifest.model_dump(mode="json"),
    }


def packed_rows(packed: Packed) -> list[tuple[str, object]]:
    """What a person reads."""
    threshold = packed.manifest.threshold
    return [
        ("served as", f"{packed.folder}, version {packed.version}"),
        ("threshold", f"{threshold.value:.4f}  {threshold.note}"),
        ("note", packed.manifest.precision_note),
        ("next", f"tritonserver --model-repository={packed.folder.parent}"),
        ("", f"aand-edge run SOURCE --engine triton://HOST:8001/{packed.folder.name}"),
    ]
