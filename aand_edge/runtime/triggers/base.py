"""What every trigger offers."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from aand_edge.runtime.frame import Frame


class Trigger(Protocol):
    """Decides on a camera's own thread, frame by frame and in order, which of them show a part that is due."""

    def __enter__(self) -> Trigger: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def due(self, frame: Frame) -> bool:
        """Whether this frame is to be judged; takes well under a millisecond."""
