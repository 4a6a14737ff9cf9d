"""Backends are found by name, and one that is not there is told with the next step."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aand_edge.engines.machine import backend_states
from aand_edge.engines.registry import FACTORIES, find_backend
from aand_edge.errors import MissingDependencyError, UsageError

BACKENDS = list(FACTORIES)


def test_a_missing_backend_is_told_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BACKENDS:
        monkeypatch.setattr(type(FACTORIES[name]()), "available", lambda self: "it is not installed")
    with pytest.raises(MissingDependencyError, match="openvino does not work here: it is not installed"):
        find_backend("openvino")
    with pytest.raises(MissingDependencyError, match="No engine backend works here"):
        find_backend()
    assert {state.builds for state in backend_states()} == {"it is not installed"}


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="auto, tensorrt, tensorrt-rtx, openvino, onnxruntime"):
        find_backend("tensorflow")


def test_a_package_that_does_not_load_is_no_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("openvino", "onnxruntime"):
        (tmp_path / f"{package}.py").write_text(f'raise ImportError("lib{package}.so: cannot open shared object file")')
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    said = r"the package openvino is installed and does not load \(libopenvino.so: cannot open"
    with pytest.raises(MissingDependencyError, match=said):
        find_backend("openvino")
    with pytest.raises(MissingDependencyError, match=f"openvino: {said}.*; onnxruntime: .* does not load"):
        find_backend()


def test_auto_looks_no_further_than_the_first_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt-rtx"):
        monkeypatch.setattr(type(FACTORIES[name]()), "runnable", lambda self: "no GPU here")
    monkeypatch.setattr(type(FACTORIES["onnxruntime"]()), "available", lambda self: pytest.fail("it was looked at"))
    assert find_backend().name == "openvino"
