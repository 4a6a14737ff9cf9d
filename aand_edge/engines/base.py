"""What every engine backend offers, and what a loaded engine answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import Precision
from aand_edge.errors import UsageError

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Outputs:
    """A batch's answer, raw: no threshold, no normalisation.

    anomaly_map   float32 (N, S, S), ≥ 0, unitless
    score         float32 (N,), the maximum of each map
    """

    anomaly_map: NDArray[np.float32]
    score: NDArray[np.float32]


@dataclass(frozen=True)
class BuildOptions:
    """What may be asked of a build: the graph's own precision, and CPU threads (0: the backend's choice)."""

    precision: Precision = "fp32"
    threads: int = 0


@dataclass(frozen=True)
class BuiltEngine:
    """The bytes of an engine, and what the backend found in it.

    executed   element type → number of layers that run in it
    note       a sentence where what runs is not what was asked for
    device     facts that must be the same where the engine is loaded
    """

    plan: bytes
    executed: Mapping[str, int]
    device: Mapping[str, str]
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """A loaded engine. A context manager; allocates once and keeps its device in one thread."""

    def infer(self, frames: Frames) -> Outputs:
        """frames: uint8 (N, H, W, 3) in the manifest's size and channel order."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """One way to build and run engines; one file of this package each."""

    name: str
    suffix: str  # of the engine file, with the dot

    def available(self) -> str | None:
        """None where engines can be built and run here, otherwise one sentence why not."""
        ...

    def version(self) -> str: ...

    def device(self) -> dict[str, str]:
        """The facts of this machine that an engine is bound to."""
        ...

    def int8_weight_bits(self) -> int:
        """Bits of int8 weights whose products cannot saturate here: 8, or 7."""
        ...

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine: ...

    def load(self, engine: Path, options: Mapping[str, Any]) -> Runner: ...


def check_frames(frames: Frames, shape: tuple[int, ...]) -> None:
    """Raises UsageError where frames are not what the engine was built for."""
    if frames.dtype != np.uint8 or frames.shape != shape:
        wanted, given = " x ".join(map(str, shape)), " x ".join(map(str, frames.shape))
        raise UsageError(
            f"The engine takes uint8 frames of {wanted}, these are {frames.dtype} of {given}",
            "Resize them, or export a graph for this size with --frame.",
        )
