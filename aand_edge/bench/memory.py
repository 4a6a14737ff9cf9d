"""How much memory an engine needs, measured in a process of its own.

In the bench's own process the first engine would pay for the backend's library and the next would reuse its pages.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from aand_edge.bench.contender import Contender, RunnerFactory

STATUS = Path("/proc/self/status")
DEADLINE = 180.0  # seconds for a fresh process to import the backend, load the engine and answer once
CHILD = "from aand_edge.bench.memory import load_and_answer; load_and_answer()"


@dataclass(frozen=True)
class Memory:
    """Peak growth of resident memory in MiB, or None and one sentence why it could not be measured."""

    mebibytes: float | None
    reason: str = ""


def measure_memory(contender: Contender) -> Memory:
    """What a fresh process gains at its peak by importing the backend, loading the engine and answering one batch.

    Host memory only: what lies on a GPU is not counted.
    """
    if not STATUS.exists():
        return Memory(None, "this system does not tell a process's memory (/proc)")
    try:
        load = pickle.dumps(contender.load)
    except (pickle.PicklingError, AttributeError, TypeError):
        return Memory(None, "this engine cannot be loaded in a process of its own")
    return _in_child(load, (contender.batch, *contender.frame, 3))


def _in_child(load: bytes, shape: tuple[int, ...]) -> Memory:
    # multiprocessing would import the caller's main module first, and what that brings along would not be counted
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    try:
        child = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=pickle.dumps((load, shape)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            timeout=DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Memory(None, f"loading it in a process of its own took more than {DEADLINE:.0f} s")
    if child.returncode or not child.stdout:
        return Memory(None, f"the process that was to load it ended early (exit code {child.returncode})")
    return Memory(**json.loads(child.stdout.splitlines()[-1]))  # a library may have printed before


def load_and_answer() -> None:
    """The child's part: read loader and frame shape from stdin, write the Memory that they took to stdout as JSON."""
    load, shape = pickle.load(sys.stdin.buffer)
    before = _status("VmRSS")
    try:
        factory: RunnerFactory = pickle.loads(load)
        with factory() as runner:
            runner.infer(np.zeros(shape, dtype=np.uint8))
        memory = Memory((_status("VmHWM") - before) / 1024)
    except Exception as error:
        memory = Memory(None, f"loading it in a process of its own failed ({type(error).__name__}: {error})")
    sys.stdout.write("\n" + json.dumps(asdict(memory)) + "\n")


def _status(key: str) -> int:
    """A figure of /proc/self/status, in KiB."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return int(lines[key].split()[0])
