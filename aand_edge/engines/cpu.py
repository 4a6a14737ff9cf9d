"""What of this processor an int8 engine must know."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aand_edge.artifacts import MOST_THREADS

CPUINFO = Path("/proc/cpuinfo")
DOT_PRODUCTS = frozenset({"avx_vnni", "avx512_vnni", "avx10_1", "amx_int8"})


def is_arm(machine: str | None = None) -> bool:
    """Whether this is an ARM processor, or `machine` names one."""
    return (platform.machine() if machine is None else machine).lower() in ("aarch64", "arm64")


def int8_weight_bits(cpuinfo: Path = CPUINFO, machine: str | None = None) -> int:
    """Bits that int8 weights may use here without products that saturate: 7 or 8.

    x86 without VNNI multiplies pairs of bytes and adds the two products in 16 bits (`vpmaddubsw`): 255 · 127 · 2 does
    not fit, 255 · 63 · 2 does. ARM and VNNI add in 32 bits. Where it cannot be found out, 7 is safe and costs a bit.
    """
    if is_arm(machine):
        return 8
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 7
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return 8 if DOT_PRODUCTS & set(flags) else 7


def threads_of(options: Mapping[str, Any]) -> int:
    """Threads that an engine was built with; 0: the backend's choice.

    Raises KeyError, TypeError, ValueError or OverflowError where its options do not tell, or tell more than can start.
    """
    threads = int(options["threads"])
    if not 0 <= threads <= MOST_THREADS:
        raise ValueError(f"{threads} threads")
    return threads
