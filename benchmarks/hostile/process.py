"""A command in a process of its own, and what must be true of the way it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aand_edge.cli import main

DOCUMENTED = {0, 1, 2, 3, 4, 5, 6}
INTERRUPTED = 130
LIMIT_S = 120
BROKEN, TOO_LONG = 70, -1000
ROOM = 1 << 20


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal that killed it), and what it printed."""

    code: int
    out: str
    err: str
    seconds: float


def run(
    folder: Path,
    arguments: tuple[str, ...],
    prepare: Callable[[], None] | None = None,
    interrupt_after: float | None = None,
) -> Ended:
    """Run a command in a forked process: its imports are done already, and a crash ends that process alone.

    prepare           called in the process before the command
    interrupt_after   seconds until it gets a SIGINT
    """
    start = time.monotonic()
    out, err = _pipe(), _pipe()
    child = os.fork()
    if child == 0:
        _become(folder, arguments, out[1], err[1], prepare)
    code = _wait(child, start, interrupt_after)
    return Ended(code, _text(out), _text(err), time.monotonic() - start)


def _pipe() -> tuple[int, int]:
    """Room for all that a command prints; not a file, since a full disk must not silence it."""
    ends = os.pipe()
    fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, ROOM)
    os.set_blocking(ends[0], False)
    return ends


def _text(pipe: tuple[int, int]) -> str:
    os.close(pipe[1])
    with os.fdopen(pipe[0], "rb") as stream:
        return (stream.read() or b"").decode("utf-8", "replace")


def _become(folder: Path, arguments: tuple[str, ...], out: int, err: int, prepare: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background has it ignored
    code = BROKEN
    try:
        os.chdir(folder)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.argv = ["aand-edge", *arguments]
        if prepare is not None:
            prepare()
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # before `main` could catch it
        sys.stderr.write("interrupted: before the command began\n")
        code = INTERRUPTED
    finally:
        with suppress(OSError):  # a disk may be full
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int, start: float, interrupt_after: float | None) -> int:
    while (passed := time.monotonic() - start) < LIMIT_S:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if interrupt_after is not None and passed > interrupt_after:
            os.kill(child, signal.SIGINT)
            interrupt_after = None
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TOO_LONG


def complaint(ended: Ended, may_pass: bool) -> str | None:
    """What is wrong with the way a command met a spoilt file, or None.

    may_pass   whether it may take the file after all: a flipped bit in a picture's pixels is a picture
    """
    if wrong := shown(ended):
        return wrong
    if ended.code == 0:
        return None if may_pass else "took a file that is spoilt"
    return None if ended.code in DOCUMENTED else f"ended with {ended.code}, which is not documented"


def shown(ended: Ended) -> str | None:
    """What nobody should see: a crash, a traceback, silence."""
    if ended.code == TOO_LONG:
        return f"did not end within {LIMIT_S} s"
    if ended.code < 0:
        return f"died by signal {-ended.code}"
    last = (ended.err.strip().splitlines() or [""])[-1]
    if "Traceback" in ended.err + ended.out or "unexpected" in ended.err:
        return f"showed its inside: {last[:300]}"
    if ended.code and not last.startswith(("error: ", "interrupted: ")):
        return f"ended with {ended.code} and without a sentence: {last[:300]}"
    return None
