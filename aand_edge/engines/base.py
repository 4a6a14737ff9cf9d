"""What every engine backend offers, and what a loaded engine answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import MOST_THREADS, Precision
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
    """What may be asked of a build. A backend refuses what it does not have.

    precision      the graph's own
    threads        of a CPU engine; 0: the backend's choice
    opt_level      how long TensorRT searches for fast kernels, 0 … 5
    workspace_mb   scratch memory that TensorRT's kernels may use
    timing_cache   file with the measurements of earlier builds
    log            file for everything that TensorRT says
    targets        compute capabilities to build for without a GPU, "sm86"
    zero_copy      let the GPU read frames from the host's memory, which on a Jetson is its own
    server         address of the model that a Triton server runs
    """

    precision: Precision = "fp32"
    threads: int = 0
    opt_level: int | None = None
    workspace_mb: int | None = None
    timing_cache: Path | None = None
    log: Path | None = None
    targets: tuple[str, ...] = ()
    zero_copy: bool = False
    server: str = ""

    def __post_init__(self) -> None:
        """Raises UsageError for more threads than a process may start."""
        if self.threads > MOST_THREADS:
            raise UsageError(f"{self.threads} threads are too many", f"Take {MOST_THREADS} at most, or 0.")


@dataclass(frozen=True)
class BuiltEngine:
    """The bytes of an engine, and what the backend found in it.

    plan       the engine file's content
    executed   element type → number of layers that run in it
    device     facts that must be the same where the engine is loaded
    note       a sentence where what runs is not what was asked for
    options    what `load` is given with the file, as JSON holds it; those of `BuildOptions` under their names
    """

    plan: bytes
    executed: Mapping[str, int]
    device: Mapping[str, str]
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """A loaded engine, closed when its `with` block is left. It allocates once and keeps its device in one thread."""

    def infer(self, frames: Frames) -> Outputs:
        """frames: uint8 (N, H, W, 3) in the manifest's size and channel order.

        Raises UsageError for other frames, AandEdgeError where the engine is closed or cannot answer.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds; a second call does nothing."""
        ...

    def __enter__(self: RunnerT) -> RunnerT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


RunnerT = TypeVar("RunnerT", bound=Runner)


@dataclass(frozen=True)
class Difference:
    """A fact in which the machine that an engine was built for and this one are not the same."""

    fact: str
    built: str
    here: str


class Backend(Protocol):
    """One way to build and run engines; one file of this package each."""

    name: str
    suffix: str  # of the engine file, with the dot

    def available(self) -> str | None:
        """None where engines can be built here, otherwise one sentence why not."""
        ...

    def runnable(self) -> str | None:
        """None where engines can be run here, otherwise one sentence why not."""
        return self.available()

    def version(self) -> str:
        """Of the library, as manifests record it; an engine of another one is not loaded.

        Asked for only where the backend is available.
        """
        ...

    def device(self) -> dict[str, str]:
        """The facts of this machine that an engine is bound to.

        Raises MissingDependencyError where it lacks the device.
        """
        ...

    def differences(self, built: Mapping[str, str]) -> list[Difference]:
        """The device facts in which this machine differs from `built`. Empty: the engine may be loaded here.

        Raises as `device`.
        """
        return differing(built, self.device())

    def int8_weight_bits(self) -> int:
        """Bits of int8 weights whose products cannot saturate here: 8, or 7."""
        ...

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        """An engine of a fused graph, for this machine or the targets that the options name; nothing is written.

        Raises UsageError for an option that the backend does not have, AandEdgeError where the library refuses the
        graph, ArtefactMismatchError where the engine would not run in the precision that was asked for,
        MissingDependencyError where the device to build on is missing.
        """
        ...

    def load(self, engine: Path, options: Mapping[str, Any]) -> Runner:
        """A runner of an engine file that was found to be whole; `options` are those of its `BuiltEngine`.

        Raises ArtefactMismatchError where the library cannot load it, MissingDependencyError where the device is
        missing; KeyError, TypeError, ValueError or OverflowError for options that no build writes.
        """
        ...


def differing(built: Mapping[str, str], here: Mapping[str, str]) -> list[Difference]:
    """The facts that are not the same on both sides."""
    facts = sorted({*built, *here})
    return [
        Difference(fact, built.get(fact, "none"), here.get(fact, "none"))
        for fact in facts
        if built.get(fact) != here.get(fact)
    ]


def refuse_options(backend: str, options: BuildOptions, *had: str) -> None:
    """Raises UsageError where an option is given that the backend does not have; precision all of them have."""
    default = BuildOptions(options.precision)
    for name, value in options.__dict__.items():
        if name not in ("precision", *had) and value != getattr(default, name):
            option = {"targets": "target", "log": "build-log"}.get(name, name).replace("_", "-")
            raise UsageError(f"--{option} has no effect on {backend} engines", "Leave it out.")


def filled(frames: Frames, batch: int) -> Frames:
    """A whole batch (batch, H, W, 3) of the frames that there are, the last one repeated where there are too few."""
    return np.ascontiguousarray(np.concatenate((frames, np.repeat(frames[-1:], batch - len(frames), axis=0))))


def check_frames(frames: Frames, shape: tuple[int, ...]) -> None:
    """Raises UsageError where frames are not what the engine was built for."""
    if frames.dtype != np.uint8 or frames.shape != shape:
        wanted, given = " x ".join(map(str, shape)), " x ".join(map(str, frames.shape))
        raise UsageError(
            f"The engine takes uint8 frames of {wanted}, these are {frames.dtype} of {given}",
            "Resize them, or export a graph for this size with --frame.",
        )
