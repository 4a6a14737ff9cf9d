"""TensorRT's engines of the fused network, and how far their maps lie from the module's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import Precision
from aand_edge.engines.base import Backend, BuildOptions
from aand_edge.engines.registry import FACTORIES
from aand_edge.errors import AandEdgeError
from benchmarks.gpu.budget import Part
from benchmarks.untrained import PRECISIONS, Frames, Graphs

BACKENDS = ("tensorrt", "tensorrt-rtx")
WARM_UP = 10
Row = dict[str, Any]


def measure_engines(graphs: Graphs, batches: tuple[int, ...], repeats: int, part: Part) -> Iterator[Row]:
    """A row for each batch, backend and precision, or why there is none; `batches` begin with 1, as `Graphs` asks.

    Graphs are exported where an engine of them can run here.
    """
    backends = [FACTORIES[name]() for name in BACKENDS]
    reasons = [backend.runnable() for backend in backends]
    maps = None if all(reasons) else graphs.maps()
    backbone = graphs.model.backbone.name
    for batch in batches:
        paths = None if maps is None or part.over() else graphs.write(batch)
        for backend, reason in zip(backends, reasons, strict=True):
            for precision in PRECISIONS:
                row: Row = {
                    "backbone": backbone,
                    "way": f"{backend.name} {precision}",
                    "batch": batch,
                }
                not_now = reason or part.over()
                if not_now or paths is None or maps is None or graphs.frames is None:
                    row["not_measured"] = not_now or "its graph was not exported in time"
                else:
                    row |= _tried(backend, paths[precision], precision, _filled(graphs.frames, maps, batch), repeats)
                print(row, flush=True)
                yield row


def _filled(frames: Frames, maps: NDArray[np.float32], batch: int) -> tuple[Frames, NDArray[np.float32]]:
    """As many frames as the batch takes, and their maps: the few that there are, again and again."""
    rows = np.arange(batch) % len(frames)
    return frames[rows], maps[rows]


def _tried(
    backend: Backend, graph: Path, precision: Precision, judged: tuple[Frames, NDArray[np.float32]], repeats: int
) -> Row:
    try:
        return run_engine(backend, graph, precision, judged, repeats)
    except (AandEdgeError, RuntimeError) as error:  # the other engines go on
        return {"not_measured": str(error)}


def run_engine(
    backend: Backend, graph: Path, precision: Precision, judged: tuple[Frames, NDArray[np.float32]], repeats: int
) -> Row:
    """Milliseconds of a batch, copies included, and the largest difference from the module's maps.

    judged   uint8 (N, S, S, 3) that fill the batch, and the module's maps of them
    """
    options = BuildOptions(precision, timing_cache=graph.parent / f"{backend.name}.timings", log=graph.parent / "log")
    start = time.monotonic()
    built = backend.build(graph, options)
    build_s = time.monotonic() - start
    plan = graph.with_suffix(backend.suffix)
    plan.write_bytes(built.plan)
    frames, wanted = judged
    with backend.load(plan, built.options) as runner:
        error = float(np.abs(runner.infer(frames).anomaly_map - wanted).max())
        seconds = []
        for _ in range(WARM_UP + repeats):
            start = time.perf_counter()
            runner.infer(frames)
            seconds.append(time.perf_counter() - start)
        note = getattr(runner, "graph_note", "")
    return {
        "ms_with_copies": 1000 * statistics.median(seconds[WARM_UP:]),
        "map_error": error,
        "executed": dict(built.executed),
        "build_s": round(build_s, 1),
        "note": note,
    }


def versions() -> dict[str, str]:
    """Of each backend that runs here."""
    backends = [FACTORIES[name]() for name in BACKENDS]
    return {backend.name: backend.version() for backend in backends if backend.runnable() is None}
