"""Where training computes, and in which number format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from aand_edge.errors import MissingDependencyError
from aand_edge.training.options import check_device

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16"})


@dataclass(frozen=True)
class Compute:
    """A device, and the format of what learns in stage two: float32, or bfloat16 under autocast."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision where `dtype` is bfloat16, nothing otherwise."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype is torch.bfloat16)

    def place(self, module: nn.Module) -> nn.Module:
        """The module on the device, convolutions in channels-last order."""
        return module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def pictures(self, batch: Tensor) -> Tensor:
        """A batch (B, C, H, W) on the device, channels last."""
        return batch.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return f"{name}, {'bfloat16' if self.dtype is torch.bfloat16 else 'float32'}"


def choose_compute(device: str = "auto") -> Compute:
    """device: auto, cpu or cuda[:n].

    Raises UsageError for another name, MissingDependencyError where CUDA is asked for and absent.
    """
    found = find_device(device)
    pays = has_bfloat16() if found.type == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    return Compute(found, torch.bfloat16 if pays else torch.float32)


def find_device(device: str) -> torch.device:
    """The device of that name. Raises as `choose_compute`."""
    check_device(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return torch.device("cpu")
    number, count = int(device.partition(":")[2] or 0), torch.cuda.device_count()
    if not torch.cuda.is_available() or not count:
        raise MissingDependencyError("No CUDA device is usable here", "Take --device cpu, or check `nvidia-smi`.")
    if number >= count:
        there = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise MissingDependencyError(f"There is no {device} here, only {there}", "Name one of those with --device.")
    return torch.device(device)


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AMX, AVX512-BF16): elsewhere it is slower than float32.

    Looked up rather than measured: a run that is resumed must find the same answer on a busy machine.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return bool(BFLOAT16 & set(flags))


@contextmanager
def full_float32() -> Iterator[None]:
    """Float32 as it is written: without TF32, which GPUs take by default in convolutions and keeps 10 of 23 bits."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    try:
        products.allow_tf32 = convolutions.allow_tf32 = False
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
