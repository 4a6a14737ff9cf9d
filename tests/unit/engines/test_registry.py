"""Backends are found by name, and one that is not there is told with the next step."""

from __future__ import annotations

import pytest

from aand_edge.engines.registry import FACTORIES, availability, find_backend
from aand_edge.errors import MissingDependencyError, UsageError

BACKENDS = list(FACTORIES)


def test_a_missing_backend_is_told_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BACKENDS:
        monkeypatch.setattr(type(FACTORIES[name]()), "available", lambda self: "it is not installed")
    with pytest.raises(MissingDependencyError, match="openvino does not work here: it is not installed"):
        find_backend("openvino")
    with pytest.raises(MissingDependencyError, match="No engine backend works here"):
        find_backend()
    assert set(availability().values()) == {"it is not installed"}


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="auto, tensorrt, tensorrt-rtx, openvino, onnxruntime"):
        find_backend("tensorflow")
