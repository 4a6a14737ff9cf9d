"""Files that a sink has finished, within a number of bytes: the oldest goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from aand_edge.errors import UsageError

MEGABYTE = 1_000_000


class _Stored(NamedTuple):
    written: float  # seconds since the epoch
    path: Path
    size: int


class Shelf:
    """Keeps count of files of one kind, those of earlier runs too."""

    def __init__(self, quota: int, paths: Iterable[Path] = ()) -> None:
        """`quota` in bytes. Deletes nothing yet."""
        self.quota = quota
        found = sorted(_stored(path) for path in paths if path.is_file())
        self._files = deque(found)
        self.total = sum(each.size for each in found)

    def make_room(self, size: int) -> None:
        """Delete the oldest files until `size` bytes more are within the quota."""
        while self._files and self.total + size > self.quota:
            self._delete_oldest()

    def expire(self, before: float) -> None:
        """Delete files written before that moment, in seconds since the epoch."""
        while self._files and self._files[0].written < before:
            self._delete_oldest()

    def add(self, path: Path) -> None:
        """Take a file that is written to its end."""
        stored = _stored(path)
        self._files.append(stored)
        self.total += stored.size

    def _delete_oldest(self) -> None:
        oldest = self._files[0]
        oldest.path.unlink(missing_ok=True)
        self._files.popleft()
        self.total -= oldest.size


def open_folder(folder: Path) -> None:
    """Make the folder. Raises UsageError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(path: Path, error: OSError) -> UsageError:
    """What to say of a file or folder that cannot be written."""
    return UsageError(f"{path} cannot be written ({error.strerror})", "Take another folder, or give it to this user.")


def _stored(path: Path) -> _Stored:
    facts = path.stat()
    return _Stored(facts.st_mtime, path, facts.st_size)
