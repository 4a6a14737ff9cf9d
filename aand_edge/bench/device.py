"""What the bench ran on, for the report's device line."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("aand-edge", "openvino", "onnxruntime", "torch", "numpy", "opencv-python-headless", "opencv-python")
# What an engine's speed turns on, and how /proc/cpuinfo names it: x86 under "flags", ARM under "Features".
INSTRUCTIONS: dict[str, frozenset[str]] = {
    "avx2": frozenset({"avx2"}),
    "avx512": frozenset({"avx512f"}),
    "vnni": frozenset({"avx_vnni", "avx512_vnni", "avx10_1"}),
    "avx512_bf16": frozenset({"avx512_bf16"}),
    "amx": frozenset({"amx_int8", "amx_bf16"}),
    "dotprod": frozenset({"asimddp"}),
    "i8mm": frozenset({"i8mm"}),
    "bf16": frozenset({"bf16"}),
}
CPUINFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")  # on Jetson and other boards


def describe_device() -> dict[str, str]:
    """Processor, instruction sets, cores, threads, memory, system and libraries, as far as this machine tells them."""
    facts = {
        "board": BOARD.read_text(encoding="utf-8", errors="replace").strip("\0\n ") if BOARD.is_file() else "",
        "cpu": _cpu_name(),
        "instructions": _instructions(),
        "cores": str(_cores() or ""),
        "threads": str(_threads()),
        "memory": _memory(),
        "system": _system(),
        "libraries": ", ".join([f"Python {platform.python_version()}", *_libraries()]),
    }
    return {key: value for key, value in facts.items() if value}


def device_line(facts: Mapping[str, str]) -> str:
    """The facts as one line of text."""
    parts = [facts.get("board", ""), facts.get("cpu", ""), facts.get("instructions", "")]
    parts.append(f"{facts['cores']} cores" if "cores" in facts else "")
    parts.append(f"{facts['threads']} threads" if "threads" in facts else "")
    parts += [facts.get("memory", ""), facts.get("system", ""), facts.get("libraries", "")]
    return " · ".join(part for part in parts if part)


def _cpuinfo() -> list[dict[str, str]]:
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    blocks = [[line.split(":", 1) for line in block.splitlines() if ":" in line] for block in text.split("\n\n")]
    return [{key.strip(): value.strip() for key, value in block} for block in blocks if block]


def _cpu_name() -> str:
    names = [block["model name"] for block in _cpuinfo() if "model name" in block]
    return names[0] if names else platform.processor() or platform.machine()


def _instructions() -> str:
    """Those of `INSTRUCTIONS` that this processor has; "" where it has none of them, or the system does not tell."""
    sets = [block.get("flags", block.get("Features", "")).split() for block in _cpuinfo()]
    has = next((set(each) for each in sets if each), set[str]())
    return " ".join(name for name, flags in INSTRUCTIONS.items() if flags & has)


def _cores() -> int:
    """Physical cores, or 0 where the system does not tell them apart."""
    return len({(block["physical id"], block["core id"]) for block in _cpuinfo() if "core id" in block})


def _threads() -> int:
    """Hardware threads that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return ""


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, {platform.machine()}"


def _libraries() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
