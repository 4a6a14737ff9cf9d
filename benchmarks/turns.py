"""Contenders in processes of their own, which work only when it is their turn.

    conductor → contender   {"runs": 5}   {"judge": "maps.npy"}   {"stop": true}
    contender → conductor   {"ready": …} once it has answered a frame, then one line an order

One JSON object a line, over the contender's own pipes. Contenders of different environments thus see the same noise of
the machine. This file needs NumPy alone: the contender's side of it runs in other people's environments too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks import REPOSITORY

STATUS = Path("/proc/self/status")
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
Answer = tuple[float, NDArray[np.float32]]  # score, map (S, S)


class EndedEarlyError(Exception):
    """A contender's process ended before it had answered."""


class Contender(Protocol):
    """What answers frames."""

    def predict(self, frame: NDArray[np.uint8]) -> Answer:
        """Score and map of a decoded frame, uint8 (S, S, 3), RGB, as its user calls it."""

    def network(self) -> None:
        """The network alone, on what the last frame became."""


@dataclass(frozen=True)
class Turn:
    """Milliseconds of each run, and of the processor's time a run, over all threads."""

    whole: list[float]
    network: list[float]
    processor: float


def serve(load: Callable[[], Contender], frames: NDArray[np.uint8], threads: int) -> None:
    """The contender's side: load, answer a frame, tell what that took, then obey orders until the last."""
    orders, answers = sys.stdin, _own_stdout()
    pin(threads)
    before = _status("VmRSS")
    contender = load()
    contender.predict(frames[0])
    _tell(answers, {"ready": True, "memory_mb": (_status("VmHWM") - before) / 1024})
    for line in orders:
        order = json.loads(line)
        if "runs" in order:
            _tell(answers, _turn(contender, frames, int(order["runs"])).__dict__)
        elif "judge" in order:
            _tell(answers, {"scores": _judge(contender, np.load(order["judge"]), Path(order["into"]))})
        else:
            return


def _own_stdout() -> IO[str]:
    """The pipe to the conductor; what libraries print goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def environment(threads: int | None = None) -> dict[str, str]:
    """Of a process that finds `benchmarks` wherever it starts, with its libraries held to so many threads."""
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    limits = {} if threads is None else dict.fromkeys(POOLS, str(threads))
    return {**os.environ, "PYTHONPATH": path, **limits}


def pin(threads: int) -> None:
    """Keep this process to as many cores as it may use threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _tell(answers: IO[str], facts: Mapping[str, Any]) -> None:
    answers.write(json.dumps(facts) + "\n")
    answers.flush()


def _turn(contender: Contender, frames: NDArray[np.uint8], runs: int) -> Turn:
    """One run that does not count, since the others have filled the caches, then `runs` of each kind."""
    contender.predict(frames[0])
    whole, busy = [], time.process_time()
    for number in range(runs):
        start = time.perf_counter()
        contender.predict(frames[number % len(frames)])
        whole.append(1000 * (time.perf_counter() - start))
    busy = time.process_time() - busy
    network = []
    for _ in range(runs):
        start = time.perf_counter()
        contender.network()
        network.append(1000 * (time.perf_counter() - start))
    return Turn(whole, network, 1000 * busy / runs)


def _judge(contender: Contender, frames: NDArray[np.uint8], into: Path) -> list[float]:
    answers = [contender.predict(frame) for frame in frames]
    np.save(into, np.stack([anomaly_map for _, anomaly_map in answers]))
    return [score for score, _ in answers]


def _status(key: str) -> int:
    """A figure of /proc/self/status, in KiB."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return int(lines[key].split()[0])


class Player:
    """The conductor's side of one contender: a process, from its start to its last turn."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, threads: int) -> None:
        self.name = name
        self._log = folder / f"{name.replace(' ', '-').replace(',', '')}.log"
        start = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("w"),
            text=True,
            cwd=folder,
            env=environment(threads),
        )
        ready = self._read()
        self.start_s = time.perf_counter() - start
        self.memory_mb: float = ready["memory_mb"]
        self.turns: list[Turn] = []

    def take_turn(self, runs: int) -> None:
        """`runs` timed runs, kept in `turns`."""
        self.turns.append(Turn(**self._order({"runs": runs})))

    def judge(self, frames: Path, into: Path) -> NDArray[np.float64]:
        """Scores (N,) of the frames (N, S, S, 3) in a .npy file; their maps go into another."""
        return np.array(self._order({"judge": str(frames), "into": str(into)})["scores"])

    def _order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EndedEarlyError(f"it ended early (exit code {self._process.wait()}), see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Player:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.communicate(json.dumps({"stop": True}) + "\n", timeout=60)
