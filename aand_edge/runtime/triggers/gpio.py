"""`gpio://18?edge=rising`: a pin of a Jetson's 40-pin header, by its number on the board; a light barrier, say."""

from __future__ import annotations

from aand_edge.runtime.edges import Edge, Edges
from aand_edge.runtime.triggers.line import Line


class GpioLine(Line):
    """Each edge is a part. Raises MissingDependencyError where Jetson.GPIO is not there.

    debounce_ms   edges that come so soon after one are the same
    """

    def __init__(self, pin: int, edge: Edge = "rising", debounce_ms: int = 0) -> None:
        super().__init__()
        self._edges = Edges(pin, edge, debounce_ms)

    def _open(self) -> None:
        self._edges.open(self._called)

    def _close(self) -> None:
        self._edges.close()
