"""A source in a process of its own: a read that blocks for ever, or a driver that crashes, is killed and replaced.

Pictures lie in memory that both processes map and that has no name, so nothing is left behind however either ends.
The child tells each picture's slot as a line of JSON on its stdout; the parent gives slots back on its stdin.
"""

from __future__ import annotations

import json
import mmap
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from importlib import import_module
from typing import IO, Any

import numpy as np

from aand_edge.errors import AandEdgeError, DataError, SourceError, UsageError
from aand_edge.runtime.sources.base import NEVER, Grab, Source, SourceOptions, StalledError
from aand_edge.runtime.sources.redact import redact

SLOTS = 3
KILLED_S = 1.0  # how long a killed child may take to end
Line = dict[str, Any]
Tell = Callable[[Line], None]


class IsolatedSource:
    """The parent's side: a Source whose reads end within a deadline.

    factory   "module:function" that makes the source in the child, in place of `uri.open_source`
    """

    live = True

    def __init__(
        self,
        uri: str,
        options: SourceOptions,
        open_deadline_s: float = 10.0,
        read_deadline_s: float = 5.0,
        factory: str = "aand_edge.runtime.sources.uri:open_source",
    ) -> None:
        self._request = {"uri": uri, "options": asdict(options), "factory": factory}
        self._open_deadline, self._read_deadline = open_deadline_s, read_deadline_s
        self._told = redact(uri)
        self._child: subprocess.Popen[bytes] | None = None
        self._memory: IO[bytes] | None = None
        self._view: mmap.mmap | None = None
        self._unread = b""

    def open(self) -> None:
        where = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self._memory = tempfile.TemporaryFile(dir=where)  # noqa: SIM115  (closed in `close`)
        shared = self._memory.fileno()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "aand_edge.runtime.sources.child", str(shared)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what decoders print holds credentials
            pass_fds=[shared],
            start_new_session=True,  # Ctrl-C is the parent's
        )
        self._unread = b""
        self._send(self._request)
        self._receive(self._open_deadline, "does not open")

    def read(self) -> Grab | None:
        line = self._receive(self._read_deadline, "gives no picture")
        if "end" in line:
            return None
        if "left" in line:
            return replace(Grab.nothing(), skipped=line["left"])
        if "bad" in line:
            raise DataError(line["bad"])
        picture = self._copied(line)
        self._send({"slot": line["slot"]})
        moment = datetime.fromisoformat(line["time"])
        return Grab(picture, line["captured"], moment, line["name"], line["truth"], line["skipped"])

    def interrupt(self) -> None:
        """End a read that is under way, from another thread: it finds that its child is gone."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        if self._child is not None:
            _end(self._child)
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was not sent yet has nobody left to read it
                        pipe.close()
        if self._view is not None:
            self._view.close()
        if self._memory is not None:
            self._memory.close()
        self._child = self._view = self._memory = None

    def _copied(self, line: Line) -> np.ndarray[Any, np.dtype[np.uint8]]:
        assert self._memory is not None
        size, shape = line["bytes"], tuple(line["shape"])
        if self._view is None or len(self._view) < SLOTS * size:
            if self._view is not None:
                self._view.close()
            self._view = mmap.mmap(self._memory.fileno(), 0)
        count = int(np.prod(shape))
        return np.frombuffer(self._view, np.uint8, count, line["slot"] * size).reshape(shape).copy()

    def _send(self, line: Line) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(line).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise self._gone() from None

    def _gone(self) -> SourceError:
        """The child has hung up: what it ended with."""
        assert self._child is not None
        code = _end(self._child)
        how = "hangs in its driver" if code is None else f"ended with {code}"
        return SourceError(f"The reader of {self._told} {how}", "It is started again.")

    def _receive(self, seconds: float, fault: str) -> Line:
        """The child's next line.

        Raises StalledError where none comes in time, SourceError or UsageError where it tells of one.
        """
        assert self._child is not None
        assert self._child.stdout is not None
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            ready.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not ready.select(max(0.0, end - time.monotonic())):
                    raise StalledError(f"{self._told} {fault} within {seconds:g} s", "It is opened again.")
                chunk = os.read(self._child.stdout.fileno(), 65536)
                if not chunk:
                    raise self._gone()
                self._unread += chunk
        text, self._unread = self._unread.split(b"\n", 1)
        line: Line = json.loads(text)
        if "lost" in line:
            raise (UsageError if line["never"] else SourceError)(redact(line["lost"]))
        return line


def _end(child: subprocess.Popen[bytes]) -> int | None:
    """Its exit code; None where a driver holds it in the kernel even when killed: it ends when that lets go."""
    child.kill()
    try:
        return child.wait(KILLED_S)
    except subprocess.TimeoutExpired:
        return None


class Slots:
    """The child's side of the shared memory: which slots are free, and writing into one."""

    def __init__(self, shared: int) -> None:
        self._shared, self._size = shared, 0
        self._view: mmap.mmap | None = None
        self._free = set(range(SLOTS))
        self._lock = threading.Lock()

    def give_back(self, slot: int) -> None:
        with self._lock:
            self._free.add(slot)

    def write(self, grab: Grab) -> Line | None:
        """Where the picture lies now; None where the parent holds every slot."""
        with self._lock:
            if grab.picture.nbytes > self._size:
                if len(self._free) < SLOTS:
                    return None  # the old slots are read with the old size
                self._grow(grab.picture.nbytes)
            if not self._free:
                return None
            slot = self._free.pop()
        assert self._view is not None
        start = slot * self._size
        self._view[start : start + grab.picture.nbytes] = np.ascontiguousarray(grab.picture).data.cast("B")
        return {"slot": slot, "bytes": self._size, "shape": grab.picture.shape}

    def _grow(self, size: int) -> None:
        if self._view is not None:
            self._view.close()
        self._size = size
        os.ftruncate(self._shared, SLOTS * size)
        self._view = mmap.mmap(self._shared, SLOTS * size)


def main(shared: int) -> None:
    """The child: read for ever, the newest picture into a free slot, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell = _teller()
    request = json.loads(sys.stdin.buffer.readline())
    options = request["options"]
    options |= {name: tuple(options[name]) for name in ("size", "roi") if options[name]}
    slots = Slots(shared)
    threading.Thread(target=_listen, args=(slots,), daemon=True).start()
    module, _, function = request["factory"].partition(":")
    try:
        source: Source = getattr(import_module(module), function)(request["uri"], SourceOptions(**options))
        source.open()
        tell({"open": True})
        _read_all(source, slots, tell)
    except Exception as error:  # whatever a driver raises is told, and the parent decides
        tell({"lost": str(error) or type(error).__name__, "never": isinstance(error, NEVER)})


def _teller() -> Tell:
    """Sends the parent a line. Stdout is its alone: what a driver prints, as nvarguscamerasrc does, goes to stderr."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(line: Line) -> None:
        stream.write(json.dumps(line).encode() + b"\n")
        stream.flush()

    return tell


def _read_all(source: Source, slots: Slots, tell: Tell) -> None:
    skipped = 0
    try:
        while (grab := _read(source, tell)) is not None:
            line = slots.write(grab)
            if line is None:
                skipped += 1 + grab.skipped
                continue
            facts = {"captured": grab.captured, "time": grab.time.isoformat(), "name": grab.name, "truth": grab.truth}
            tell({**line, **facts, "skipped": skipped + grab.skipped})
            skipped = 0
    finally:
        if skipped:
            tell({"left": skipped})
    tell({"end": True})


def _read(source: Source, tell: Tell) -> Grab | None:
    """The next picture that is one; None at the end."""
    while True:
        try:
            return source.read()
        except DataError as error:
            tell({"bad": str(error)})


def _listen(slots: Slots) -> None:
    """Slots come back; when the parent ends, however it ends, so does this process."""
    for text in sys.stdin.buffer:
        slots.give_back(json.loads(text)["slot"])
    os._exit(0)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (AandEdgeError, BrokenPipeError):
        sys.exit(1)
