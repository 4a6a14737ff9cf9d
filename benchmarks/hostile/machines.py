"""Machines that refuse: full disks, folders that cannot be written, two builders at once, Ctrl-C at any moment."""

from __future__ import annotations

import ctypes
import resource
import threading
from collections.abc import Callable
from pathlib import Path

from benchmarks.hostile.families import ENGINE, JUDGE, MODEL
from benchmarks.hostile.process import INTERRUPTED, Ended, run, shown
from benchmarks.hostile.spoil import Rng

WRITERS: tuple[tuple[str, ...], ...] = (
    ("train", "--fresh", "--name", "other"),
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

Scenario = Callable[[Path, Rng], tuple[tuple[str, ...], Ended, str | None]]


def full_disk(folder: Path, rng: Rng) -> tuple[tuple[str, ...], Ended, str | None]:
    """No file may grow beyond some bytes: what a full disk does to whoever writes."""
    room = int(2 ** rng.uniform(0, 24))
    command = WRITERS[int(rng.integers(0, len(WRITERS)))]
    ended = run(folder, command, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    return (*command, f"({room} bytes)"), ended, _refusal(ended)


def read_only(folder: Path, rng: Rng) -> tuple[tuple[str, ...], Ended, str | None]:
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
    return command, ended, _refusal(ended)


def _drop_capabilities() -> None:
    header, none = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset(header, none):
        raise OSError("capset refused")


def interrupted(folder: Path, rng: Rng) -> tuple[tuple[str, ...], Ended, str | None]:
    """SIGINT at a random moment."""
    command = WRITERS[int(rng.integers(0, len(WRITERS)))]
    ended = run(folder, command, interrupt_after=float(rng.uniform(0.05, 4)))
    if ended.code in (0, INTERRUPTED):
        return command, ended, shown(ended)
    return command, ended, f"ended with {ended.code} after Ctrl-C: {ended.err.strip()[-200:]}"


def two_builders(folder: Path, rng: Rng) -> tuple[tuple[str, ...], Ended, str | None]:
    """The same engine built twice at the same time; afterwards it must be whole and must run."""
    command = ("build", MODEL)
    both: list[Ended] = []
    threads = [threading.Thread(target=lambda: both.append(run(folder, command))) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    after = run(folder, JUDGE)
    wrong = next((shown(each) or _refusal(each) for each in (*both, after) if each.code), None)
    return command, after, wrong


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
}
