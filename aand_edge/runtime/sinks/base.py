"""What every sink offers."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, runtime_checkable

from aand_edge.runtime.events import Event


class Sink(Protocol):
    """A context manager that takes events, in order, from one thread of its own.

    `append` may block and may raise: the loop counts that, says so once and goes on. It ignores events that it has
    no use for. Leaving it writes out what it holds; at a stop there is the time of `runtime/stopping.py` for that.
    """

    name: str

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def append(self, event: Event) -> None: ...


@runtime_checkable
class Keeping(Protocol):
    """A sink that may raise at an event and keep it all the same, and so counts itself what it lost.

    lost   events that will never arrive, known when it was left
    """

    @property
    def lost(self) -> int: ...
