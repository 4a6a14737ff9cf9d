"""Whether a graph answers as the PyTorch model does, on real pictures, with ONNX Runtime as the judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from aand_edge.artifacts import Precision
from aand_edge.engines.base import filled
from aand_edge.errors import AandEdgeError
from aand_edge.model.aand import Aand

# Largest difference of a map value. float32 may only differ by rounding. In float16 the trunk keeps 11 bits: its bound
# is against gross errors (an overflow, a lost region); how far verdicts move is what an engine's acceptance measures.
MAP_TOLERANCE: dict[str, float] = {"fp32": 1e-4, "fp16": 0.05}


@dataclass(frozen=True)
class Parity:
    """Differences between a graph and the PyTorch model on held-out pictures, in map units.

    map_spread   standard deviation of the model's maps: what the errors are small against
    """

    pictures: int
    map_error_max: float
    map_error_mean: float
    score_error_max: float
    map_spread: float
    tolerance: float

    def to_dict(self) -> dict[str, float]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Reference:
    """What the PyTorch model answers: maps (N, S, S) and scores (N,)."""

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]


def reference(model: Aand, pictures: NDArray[np.uint8] | NDArray[np.float32]) -> Reference:
    """pictures: uint8 or float32 grey levels (N, S, S, 3), RGB, one at a time through the model that training left."""
    answers = []
    with torch.no_grad():
        for picture in pictures:
            anomaly_map, score = model(torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float())
            answers.append((anomaly_map[0].numpy(), score[0].numpy()))
    return Reference(np.stack([a for a, _ in answers]), np.stack([s for _, s in answers]))


def check_parity(
    graph: Path,
    frames: NDArray[np.uint8],
    expected: Reference,
    precision: Precision,
    progress: Callable[[int, int], None] | None = None,
    name: str | None = None,
) -> Parity:
    """Compare on frames uint8 (N, H, W, 3). Raises AandEdgeError where the tolerance is not met.

    name   what the graph will be called, where it does not lie under its name yet
    """
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]
    map_max = map_sum = score_max = 0.0
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]  # different frames, or a batch that mixes them would not show
        maps, scores = (answer[: len(part)] for answer in session.run(None, {"image": filled(part, batch)}))
        done = start + len(part)
        error = np.abs(maps - expected.maps[start:done])
        map_max, map_sum = np.maximum(map_max, error.max()), map_sum + float(error.mean()) * len(part)  # keeps a NaN
        score_max = np.maximum(score_max, np.abs(scores - expected.scores[start:done]).max())
        if progress:
            progress(done, len(frames))
    tolerance = MAP_TOLERANCE[precision]
    if not map_max <= tolerance:
        raise AandEdgeError(
            f"{name or graph.name} differs from PyTorch by {map_max:.2g} in its map; {tolerance:g} is allowed",
            "The graph was not kept. Try --precision fp32." if precision != "fp32" else "Report this as a bug.",
        )
    return Parity(
        pictures=len(frames),
        map_error_max=float(map_max),
        map_error_mean=map_sum / len(frames),
        score_error_max=float(score_max),
        map_spread=float(expected.maps.std()),
        tolerance=tolerance,
    )
