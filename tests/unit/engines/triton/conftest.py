"""A repository with the tiny model, packed once for all tests, and a server that answers from a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")

from aand_edge.engines.triton.config import Serving
from aand_edge.export.served import serve_graph
from tests.graphs import write_tiny_model
from tests.triton_server import TritonServer


@pytest.fixture(scope="package")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds tiny-fp32, and the model that it was made of under models/tiny."""
    folder = tmp_path_factory.mktemp("plant")
    graph, holdout = write_tiny_model(folder / "models/tiny")
    serve_graph(folder / "repository", graph, holdout, Serving(8, 2), 0.1)
    return folder


@pytest.fixture
def plant(packed: Path, tmp_path: Path) -> Path:
    """The same, to be written to."""
    return Path(shutil.copytree(packed, tmp_path / "plant"))


@pytest.fixture
def server(plant: Path) -> Iterator[TritonServer]:
    """Answers from `plant`."""
    with TritonServer(plant / "repository") as running:
        yield running
