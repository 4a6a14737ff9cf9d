"""What CUDA cannot do is told in our words, also where its bindings raise instead of answering."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from aand_edge.engines import cuda
from aand_edge.errors import AandEdgeError, MissingDependencyError


class Runtime(ModuleType):
    """`cuda.bindings.runtime` on a machine without a driver: 13 answers with an error, 12 raises."""

    def __init__(self, version: int) -> None:
        super().__init__("cuda.bindings.runtime")
        self._version = version

    def cudaGetDeviceCount(self) -> tuple[int, None]:  # noqa: N802
        if self._version == 12:
            raise RuntimeError("Failed to dlopen libcuda.so.1")
        return 35, None

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, b"CUDA driver version is insufficient for CUDA runtime version"


@pytest.mark.parametrize("version", [12, 13])
def test_a_machine_without_a_driver_is_told_as_that(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    modules: dict[str, Any] = {"cuda": ModuleType("cuda"), "cuda.bindings": ModuleType("cuda.bindings")}
    modules["cuda.bindings"].runtime = Runtime(version)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(cuda, "_has_cuda_python", lambda: True)
    assert "There is no NVIDIA driver or GPU here" in (cuda.missing() or "")
    with pytest.raises(MissingDependencyError, match="no NVIDIA driver"):
        cuda.open_cuda()


def test_too_little_memory_and_what_is_unknown_are_told_apart() -> None:
    assert "The GPU is out of memory (cudaMalloc)" in str(cuda.explained("cudaMalloc", "out of memory"))
    unknown = cuda.explained("cudaFree", "an illegal memory access")
    assert type(unknown) is AandEdgeError
    assert "CUDA failed in cudaFree" in str(unknown)
