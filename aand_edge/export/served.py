"""`aand-edge export --triton DIR`: a model's graph in a Triton repository, for any batch, with a threshold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from aand_edge.artifacts import Precision
from aand_edge.engines.base import BuiltEngine
from aand_edge.engines.build import accept_runner, engine_facts
from aand_edge.engines.onnxruntime import OnnxRuntime
from aand_edge.engines.triton.config import Serving
from aand_edge.engines.triton.repository import Packed, pack
from aand_edge.errors import UsageError
from aand_edge.export.dynamic import check_batches, write_dynamic
from aand_edge.graph_facts import GraphFacts, read_holdout


def check_servable(precision: Precision) -> None:
    """Raises UsageError for a precision whose graphs a server would misread."""
    if precision == "int8":
        raise UsageError(
            "ONNX Runtime before 1.32, which servers have, rounds int8 graphs of half precision wrongly",
            "Serve fp16, or a TensorRT engine with --engine.",
        )


def serve_graph(
    repository: Path,
    graph: Path,
    holdout: Path,
    serving: Serving,
    false_rejects: float,
    progress: Callable[[int, int], None] | None = None,
) -> Packed:
    """Pack an exported graph, with its batch made dynamic, for Triton's ONNX Runtime.

    The threshold is what ONNX Runtime on this machine's CPU reads from the held-out pictures. A server's GPU rounds
    otherwise: `build --backend triton` accepts the model as the server answers.

    Raises UsageError for an int8 graph, AandEdgeError where the graph does not answer as the model does.
    """
    facts = GraphFacts.from_graph(graph)
    check_servable(facts.precision)
    pictures = read_holdout(holdout, facts)
    backend = OnnxRuntime()
    as_it_is = BuiltEngine(graph.read_bytes(), executed={}, device=backend.device(), options={"threads": 0})
    served = engine_facts(graph, graph.name, backend, as_it_is)
    with TemporaryDirectory() as folder:
        dynamic = Path(folder) / graph.name
        write_dynamic(graph, dynamic)
        check_batches(graph, dynamic, pictures.frames)
        with backend.load(graph, as_it_is.options) as runner:
            accepted = accept_runner(served, runner, pictures, false_rejects, progress)
        return pack(repository, dynamic, accepted, "onnxruntime_onnx", serving)
