"""`gpio://16`: one channel of an encoder on a pin of a Jetson's header; it counts forwards only."""

from __future__ import annotations

import time

from aand_edge.runtime.edges import Edge, Edges
from aand_edge.runtime.encoders.base import Pulses
from aand_edge.runtime.stopping import Deadline


class GpioEncoder:
    """Each edge is a pulse.

    The kernel keeps 16 edges that nobody has read, and this process may be held up for 50 ms: up to some 200 pulses a
    second are safe. Let a PLC count faster ones.
    """

    def __init__(self, pin: int, edge: Edge = "rising") -> None:
        """Raises MissingDependencyError where Jetson.GPIO is not there."""
        self._edges = Edges(pin, edge)
        self.name = self._edges.name

    def start(self, pulses: Pulses) -> None:
        pulses.counted(time.monotonic(), 0)  # a belt that stands gives no edge, and its parts are where they are
        self._edges.open(lambda moment: pulses.counted(moment, 1))

    def stop(self, end: Deadline) -> None:
        self._edges.close()
