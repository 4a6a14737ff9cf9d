"""Every event as a line of JSON, in files that are bounded in size and in all."""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import suppress
from datetime import date, datetime, timezone
from io import FileIO
from pathlib import Path
from types import TracebackType

from aand_edge.errors import UsageError
from aand_edge.runtime.events import Event
from aand_edge.runtime.sinks.payload import json_bytes, time_of
from aand_edge.runtime.sinks.shelf import MEGABYTE, Shelf, open_folder, unwritable

CURRENT = "verdicts.jsonl"
FINISHED = re.compile(r"verdicts-(\d{4}-\d\d-\d\d)\.(\d{3,})\.jsonl")
BLOCK = 65536


class JsonlSink:
    """Writes `verdicts.jsonl`; a full one, or yesterday's (UTC), becomes `verdicts-DATE.NNN.jsonl`.

    folder    made if need be
    max_mb    a file's size in 10⁶ bytes
    keep_mb   the size of all files together; the oldest finished one is deleted first
    append    go on in a folder of an earlier run, as a service does; without it such a folder is refused

    A line is with the operating system when `append` returns, and survives a kill of this process. Where the disk is
    full, `append` raises OSError and leaves no half line.
    """

    name = "jsonl"

    def __init__(self, folder: Path, max_mb: float = 64, keep_mb: float = 2048, append: bool = False) -> None:
        if not 0 < max_mb <= keep_mb:
            raise UsageError(
                f"A file of {max_mb:g} MB does not fit into {keep_mb:g} MB of verdicts", "Make keep_mb the larger one."
            )
        self.notice = ""  # what was mended on opening; the station tells it
        self._folder = folder
        self._max = int(max_mb * MEGABYTE)
        self._keep = int(keep_mb * MEGABYTE)
        self._append = append
        self._file: FileIO | None = None
        self._size = 0
        self._day: date | None = None

    def __enter__(self) -> JsonlSink:
        """Raises UsageError where the folder cannot be written, or holds another run's verdicts."""
        open_folder(self._folder)
        finished = [path for path in self._folder.iterdir() if FINISHED.fullmatch(path.name)]
        current = self._folder / CURRENT
        if not self._append and (finished or current.exists()):
            raise UsageError(
                f"{self._folder} holds the verdicts of another run",
                "Take another folder for --out, or go on in it with --append.",
            )
        self._shelf = Shelf(self._keep, finished)
        try:
            if current.exists():
                self.notice = mend(current)
                self._day = datetime.fromtimestamp(current.stat().st_mtime, timezone.utc).date()
            self._open()
        except OSError as error:
            raise unwritable(current, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, event: Event) -> None:
        """Write a line. Raises OSError where it cannot be written."""
        line = json_bytes(event) + b"\n"
        day = time_of(event).date()
        self._day = self._day or day
        if self._size and (self._size + len(line) > self._max or day > self._day):
            self._rotate()
        # The clock may step back; a file's day never does, or the files would no longer be in order.
        self._day = max(self._day, day)
        self._shelf.make_room(self._size + len(line))
        self._write(line)

    def _open(self) -> FileIO:
        if self._file is None:
            self._file = FileIO(self._folder / CURRENT, "ab")
            self._size = os.fstat(self._file.fileno()).st_size
        return self._file

    def _write(self, line: bytes) -> None:
        file = self._open()
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(self._size)
            raise
        self._size += len(line)

    def _rotate(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        target = self._folder / f"verdicts-{self._day}.{self._next_number():03}.jsonl"
        with suppress(FileNotFoundError):  # somebody else has moved it away: the next line begins a new one
            (self._folder / CURRENT).rename(target)
            self._shelf.add(target)
        self._size = 0

    def _next_number(self) -> int:
        found = (FINISHED.fullmatch(path.name) for path in self._folder.iterdir())
        return max((int(each[2]) for each in found if each and each[1] == str(self._day)), default=0) + 1


def mend(path: Path) -> str:
    """End a file of lines in a whole one. Returns what was done, or nothing where it ended in one.

    A last line that was cut short is removed; one that lacks only its end gets it.
    """
    with path.open("r+b") as file:
        whole = _end_of_last_line(file.fileno())
        file.seek(whole)
        rest = file.read()
        if not rest:
            return ""
        if _is_json(rest):
            file.write(b"\n")
            return f"{path} lacked the end of its last line, which was added"
        file.truncate(whole)
        return f"{path} ended within a line: its last {len(rest)} bytes were cut off"


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - BLOCK)
        os.lseek(descriptor, start, os.SEEK_SET)
        found = os.read(descriptor, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _is_json(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
