"""Where training computes, and in which number format."""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aand_edge.errors import MissingDependencyError, UsageError


@dataclass(frozen=True)
class Compute:
    """A device, and the format that matrix products run in (float32, or bfloat16 under autocast)."""

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
    pays = _bfloat16_pays() if found.type == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    return Compute(found, torch.bfloat16 if pays else torch.float32)


def find_device(device: str) -> torch.device:
    """The device of that name. Raises as `choose_compute`."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return torch.device("cpu")
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise UsageError(f"There is no device '{device}'", "Choose auto, cpu or cuda.")
    number = int(device.partition(":")[2] or 0)
    if not torch.cuda.is_available() or number >= torch.cuda.device_count():
        raise MissingDependencyError("No CUDA device is usable here", "Take --device cpu, or check `nvidia-smi`.")
    return torch.device(device)


def _bfloat16_pays() -> bool:
    """Whether this CPU convolves clearly faster in bfloat16: true with AMX or AVX512-BF16, false without.

    Measured rather than looked up, since the same instruction runs at very different speeds.
    """
    convolve = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.rand(4, 64, 32, 32).contiguous(memory_format=torch.channels_last)
    seconds = {}
    with torch.no_grad():
        for dtype in (torch.float32, torch.bfloat16):
            layer, batch = convolve.to(dtype), x.to(dtype)
            layer(batch)
            runs = []
            for _ in range(5):
                start = time.perf_counter()
                layer(batch)
                runs.append(time.perf_counter() - start)
            seconds[dtype] = min(runs)
    return seconds[torch.bfloat16] * 1.3 < seconds[torch.float32]
