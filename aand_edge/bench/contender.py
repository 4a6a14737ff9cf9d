"""What the bench needs to know of an engine, and how to load it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aand_edge.artifacts import EngineManifest, Threshold
from aand_edge.engines.base import Runner

RunnerFactory = Callable[[], Runner]
View = tuple[tuple[int, int], tuple[int, int, int, int]]  # a frame's (height, width), and the region looked at


@dataclass(frozen=True)
class Contender:
    """Something that answers frames: an engine, or the PyTorch model as a yardstick.

    frame        height and width of the frames it takes
    colour       their channel order, "BGR" or "RGB"
    roi          x, y, width, height of the part of the frame that it looks at; None: all of it
    load         returns a fresh runner. Memory is measured in a child process, which gets `load` by pickle: give a
                 function of a module or a functools.partial of one, not a lambda
    model        whose engine it is
    executed     element type → number of layers that run in it, where the backend says so
    deployable   False for a yardstick, which is measured but never recommended
    """

    name: str
    backend: str
    precision: str
    frame: tuple[int, int]
    colour: str
    threshold: Threshold
    load: RunnerFactory
    batch: int = 1
    roi: tuple[int, int, int, int] | None = None
    executed: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    deployable: bool = True
    model: str = ""

    @property
    def view(self) -> View | None:
        """The part of the picture that it looks at; None: all of it, at whatever size."""
        return None if self.roi is None else (self.frame, self.roi)

    @classmethod
    def from_manifest(cls, manifest: EngineManifest, load: RunnerFactory) -> Contender:
        """The contender that an engine manifest describes."""
        return cls(
            name=manifest.name,
            backend=manifest.backend,
            precision=manifest.precision,
            frame=manifest.frame,
            colour=manifest.colour,
            threshold=manifest.threshold,
            load=load,
            batch=manifest.batch,
            roi=manifest.roi,
            executed=manifest.executed,
            note=manifest.precision_note,
            model=manifest.model,
        )
