"""How much memory an engine needs, measured in a process of its own.

In the bench's own process the first engine would pay for the backend's library and the next would reuse its pages.
"""

from __future__ import annotations

import multiprocessing
import pickle
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from aand_edge.bench.contender import Contender, RunnerFactory

STATUS = Path("/proc/self/status")
DEADLINE = 180.0  # seconds for a fresh process to import the backend, load the engine and answer once


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
    context = multiprocessing.get_context("spawn")  # fork would share the parent's pages and locks
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_load_and_answer, args=(load, shape, sender), daemon=True)
    child.start()
    sender.close()
    try:
        if not receiver.poll(DEADLINE):
            return Memory(None, f"loading it in a process of its own took more than {DEADLINE:.0f} s")
        answer: Memory = receiver.recv()
        return answer
    except EOFError:
        return Memory(None, "the process that was to load it ended early")
    finally:
        receiver.close()
        child.kill()
        child.join()


def _load_and_answer(load: bytes, shape: tuple[int, ...], sender: Connection) -> None:
    before = _status("VmRSS")
    try:
        factory: RunnerFactory = pickle.loads(load)
        with factory() as runner:
            runner.infer(np.zeros(shape, dtype=np.uint8))
            sender.send(Memory((_status("VmHWM") - before) / 1024))
    except Exception as error:
        sender.send(Memory(None, f"loading it in a process of its own failed ({type(error).__name__}: {error})"))


def _status(key: str) -> int:
    """A figure of /proc/self/status, in KiB."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return int(lines[key].split()[0])
