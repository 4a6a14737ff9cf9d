"""Machines that refuse: full disks, folders that cannot be written, two builders at once, Ctrl-C at any moment.

Ctrl-C comes at random moments, and within each stage of the main job: there the stage's own function sends it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.hostile.families import ENGINE, JUDGE, MODEL, TRAIN
from benchmarks.hostile.process import INTERRUPTED, Ended, run, shown
from benchmarks.hostile.spoil import Rng

WRITERS: tuple[tuple[str, ...], ...] = (
    TRAIN,
    ("export", MODEL, "--frame", "96x96"),
    ("build", MODEL, "--precision", "fp16"),
    ("build", MODEL, "--precision", "int8"),
    ("calibrate", "--percentile", "99"),
    ("bench", ENGINE, "--repeats", "2", "--warmup", "1", "--out", "report"),
    ("threshold", ENGINE, "--set", "1.5"),
    (*JUDGE, "--out", "fresh"),
    ("eval", MODEL),
)
LINUX_CAPABILITY_VERSION_3 = 0x20080522

Met = tuple[tuple[str, ...], tuple[Ended, ...], str | None]  # the command, how it and its like ended, what is wrong
Scenario = Callable[[Path, Rng], Met]


def full_disk(folder: Path, rng: Rng) -> Met:
    """No file may grow beyond some bytes: what a full disk does to whoever writes."""
    room = int(2 ** rng.uniform(0, 24))
    command = WRITERS[int(rng.integers(0, len(WRITERS)))]
    ended = run(folder, command, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    return (*command, f"({room} bytes)"), (ended,), _refusal(ended)


def read_only(folder: Path, rng: Rng) -> Met:
    """Folders without the right to write, and root without its right to do so all the same."""
    command = WRITERS[int(rng.integers(0, len(WRITERS)))]
    folders = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
    files = [each for each in folder.rglob("*") if each.is_file()]
    modes = {each: each.stat().st_mode for each in (*folders, *files)}
    try:
        for each in modes:
            each.chmod(modes[each] & ~0o222)
        ended = run(folder, command, _drop_capabilities)
    finally:
        for each, mode in modes.items():
            each.chmod(mode)
    return command, (ended,), _refusal(ended)


def _drop_capabilities() -> None:
    header, none = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset(header, none):
        raise OSError("capset refused")


def interrupted(folder: Path, rng: Rng) -> Met:
    """SIGINT at a random moment."""
    command = WRITERS[int(rng.integers(0, len(WRITERS)))]
    ended = run(folder, command, interrupt_after=float(rng.uniform(0.05, 4)))
    if ended.code in (0, INTERRUPTED):
        return command, (ended,), shown(ended)
    return command, (ended,), f"ended with {ended.code} after Ctrl-C: {ended.err.strip()[-200:]}"


@dataclass(frozen=True)
class Stage:
    """A command, and the function that it calls in one of its stages: module, then names; Ctrl-C comes in a call of it.

    call       which one
    ends_well  the command takes Ctrl-C as the way to end it, with exit code 0
    """

    command: tuple[str, ...]
    module: str
    function: str
    call: int = 2
    ends_well: bool = False


STAGES = {
    "reading pictures": Stage(TRAIN, "aand_edge.training.pictures", "read_picture"),
    "stage one": Stage(TRAIN, "aand_edge.training.stages", "AmplifyStep.__call__"),
    "stage two": Stage(TRAIN, "aand_edge.training.stages", "DistillStep.__call__"),
    "export": Stage(("export", MODEL, "--frame", "96x96"), "aand_edge.export.export", "check_parity", 1),
    "calibrate": Stage(("calibrate", "--percentile", "99"), "aand_edge.export.calibrate", "Probe.__call__"),
    "build": Stage(("build", MODEL, "--precision", "fp16"), "aand_edge.engines.openvino", "OpenVinoRunner.infer"),
    "bench": Stage(
        ("bench", ENGINE, "--repeats", "9", "--warmup", "1", "--out", "report"), "aand_edge.bench.latency", "_times"
    ),
    "run": Stage(
        ("run", "data/sample/test/good", "--engine", ENGINE, "--out", "fresh"),
        "aand_edge.engines.openvino",
        "OpenVinoRunner.infer",
        ends_well=True,
    ),
}
REACHED = "Ctrl-C was sent here"


def interrupted_in(stage: Stage, folder: Path, rng: Rng) -> Met:
    """SIGINT within a stage, in one of the calls of its own function."""
    ended = run(folder, stage.command, lambda: _interrupt_in(stage))
    wrong = shown(ended)
    if REACHED not in ended.err:
        wrong = f"ended with {ended.code} before {stage.module}.{stage.function} was called {stage.call} times"
    elif ended.code != INTERRUPTED and not (stage.ends_well and ended.code == 0):
        wrong = f"ended with {ended.code} after Ctrl-C: {ended.err.strip()[-200:]}"
    return stage.command, (ended,), wrong


def _interrupt_in(stage: Stage) -> None:
    """Replace the function, in this process, by one that sends SIGINT when it was called so often."""
    place: Any = importlib.import_module(stage.module)
    *outer, name = stage.function.split(".")
    for each in outer:
        place = getattr(place, each)
    function, calls = getattr(place, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stage.call:
            os.write(2, f"{REACHED}\n".encode())
            os.kill(os.getpid(), signal.SIGINT)
        return function(*arguments, **named)

    setattr(place, name, counted)


def two_builders(folder: Path, rng: Rng) -> Met:
    """The same engine built twice at the same time: both end well, and afterwards it is whole and runs."""
    command = ("build", MODEL)
    both: list[Ended] = []
    threads = [threading.Thread(target=lambda: both.append(run(folder, command))) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    after = run(folder, JUDGE)
    wrong = next((f"ended with {each.code}: {each.err.strip()[-200:]}" for each in (*both, after) if each.code), None)
    return command, (*both, after), wrong


def _refusal(ended: Ended) -> str | None:
    """A machine that refuses may end a command with exit code 1 or 2 and a sentence, or not matter to it."""
    if ended.code not in (0, 1, 2):
        return f"ended with {ended.code}: {ended.err.strip()[-200:]}"
    return shown(ended)


SCENARIOS: dict[str, Scenario] = {
    "full disk": full_disk,
    "read-only folders": read_only,
    "Ctrl-C": interrupted,
    "two builders": two_builders,
    **{f"Ctrl-C in {name}": partial(interrupted_in, stage) for name, stage in STAGES.items()},
}
