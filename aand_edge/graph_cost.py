"""What a fused graph computes and moves, layer by layer: counted by `export`, read without the onnx package.

The counts lie in the graph's own metadata, so that a device can tell a graph's floor, and no second file can be
another graph's.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import get_args

from aand_edge.artifacts import Precision
from aand_edge.errors import ArtefactMismatchError
from aand_edge.graph_facts import read_metadata

KEY = "aand.cost"


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product and the pointwise work behind it, up to the next one; for the graph's own batch.

    region     of the graph; see `export.regions`
    precision  that its products are computed in
    macs       multiply-accumulates; 0 for the pointwise work before the first convolution
    weights    bytes of the constants that it reads
    reads      bytes of the feature maps that it reads, each once
    writes     bytes of the feature maps that later layers read of it
    """

    name: str
    region: str
    precision: Precision
    macs: int
    weights: int
    reads: int
    writes: int


@dataclass(frozen=True)
class GraphCost:
    """A graph's layers, in order, and the bytes of the frames that go in and of the maps and scores that come out."""

    input: int
    output: int
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a call."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Bytes of constants."""
        return sum(layer.weights for layer in self.layers)

    @property
    def moved(self) -> int:
        """Bytes that all layers read and write, each by itself."""
        return sum(layer.weights + layer.reads + layer.writes for layer in self.layers)

    def to_metadata(self) -> dict[str, str]:
        """As an entry of ONNX metadata_props."""
        rows = [astuple(layer) for layer in self.layers]
        return {KEY: json.dumps({"input": self.input, "output": self.output, "layers": rows}, separators=(",", ":"))}

    @classmethod
    def from_graph(cls, path: Path) -> GraphCost:
        """Read from an ONNX file. Raises ArtefactMismatchError where it says nothing of its layers."""
        again = "Write it again with `aand-edge export`."
        text = read_metadata(path).get(KEY)
        if text is None:
            raise ArtefactMismatchError(f"{path} does not say what its layers cost: an older version wrote it", again)
        try:
            stored = json.loads(text)
            layers = tuple(_checked(Layer(*row)) for row in stored["layers"])
            return cls(_count(stored["input"]), _count(stored["output"]), layers)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ArtefactMismatchError(f"What {path} says of its layers cannot be read", again) from None


def _checked(layer: Layer) -> Layer:
    """Raises ValueError where a layer holds values of another kind."""
    for count in (layer.macs, layer.weights, layer.reads, layer.writes):
        _count(count)
    if not isinstance(layer.name, str) or not isinstance(layer.region, str):
        raise ValueError("a name that is no text")
    if layer.precision not in get_args(Precision):
        raise ValueError(f"no precision: {layer.precision}")
    return layer


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"no number of bytes or operations: {value}")
    return value
