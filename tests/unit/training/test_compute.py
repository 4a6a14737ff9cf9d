"""The device and the number format are the same every time that they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aand_edge.errors import MissingDependencyError, UsageError
from aand_edge.training.compute import find_device, full_float32, has_bfloat16


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile\n", True),
        ("flags : avx512f avx512_bf16\n", True),
        ("flags : avx512f avx512_vnni\n", False),
        ("model name : Neoverse-N1\n", False),
    ],
)
def test_bfloat16_is_looked_up(tmp_path: Path, text: str, has: bool) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\n" + text)
    assert has_bfloat16(tmp_path / "cpuinfo") is has


def test_a_system_that_does_not_tell_has_none(tmp_path: Path) -> None:
    assert not has_bfloat16(tmp_path / "missing")


def test_float32_is_full_within_and_as_before_after() -> None:
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = True
    try:
        with full_float32():
            assert (matmul.allow_tf32, convolution.allow_tf32) == (False, False)
        assert matmul.allow_tf32
    finally:
        matmul.allow_tf32 = before[0]
    assert (matmul.allow_tf32, convolution.allow_tf32) == before


@pytest.mark.parametrize(
    ("device", "count", "said"),
    [
        ("cuda", 0, "No CUDA device is usable here"),
        ("cuda:3", 2, "There is no cuda:3 here, only cuda:0 to cuda:1"),
        ("cuda:1", 1, "There is no cuda:1 here, only cuda:0."),
    ],
)
def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, device: str, count: int, said: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(MissingDependencyError, match=said):
        find_device(device)


def test_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="There is no device 'gpu'"):
        find_device("gpu")
