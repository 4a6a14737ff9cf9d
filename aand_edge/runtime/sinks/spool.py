"""Messages that wait to be sent, in order and bounded, on disk or in memory."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from aand_edge.errors import UsageError

# A commit costs flash some pages. Messages that come and go within this time share one, so a broker that is there
# costs next to nothing, and a kill loses no more than this.
COMMIT_S = 0.5
TABLE = "CREATE TABLE IF NOT EXISTS messages (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)"
SIZES = "SELECT number, length(topic) + length(payload) FROM messages"


class Message(NamedTuple):
    """`number` grows with each message and is never used again."""

    number: int
    topic: str
    payload: bytes


class Spool:
    """A queue that several threads may use: what is put last comes last, and the oldest is dropped where it is full.

    path     an SQLite file that outlives the process; None keeps the queue in memory
    max_mb   10⁶ bytes of messages
    """

    def __init__(self, path: Path | None, max_mb: float) -> None:
        """Raises UsageError where the file cannot be opened."""
        self.dropped = 0
        self._max = int(max_mb * 1_000_000)
        self._lock = threading.Lock()
        self._database = _open(path)
        self._committed = time.monotonic()
        self._recount()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    def put(self, topic: str, payload: bytes) -> int:
        """Take a message; returns how many old ones were dropped for it. Raises OSError where the disk is full."""
        size = len(topic) + len(payload)
        with self._lock:
            try:
                dropped = self._make_room(size)
                self._database.execute("INSERT INTO messages (topic, payload) VALUES (?, ?)", (topic, payload))
                self._bytes += size
                self._count += 1
                self._commit_if_due()
            except sqlite3.Error as error:
                # SQLite gives up the open transaction on some of them, and with it what was counted.
                self._database.rollback()
                self._recount()
                raise OSError(f"The queue on disk cannot be written ({error})") from None
        self.dropped += dropped
        return dropped

    def after(self, number: int, limit: int) -> list[Message]:
        """The oldest messages with a number above this one."""
        query = "SELECT number, topic, payload FROM messages WHERE number > ? ORDER BY number LIMIT ?"
        with self._lock:
            return [Message(*row) for row in self._database.execute(query, (number, limit))]

    def remove(self, number: int) -> None:
        """Forget a message that has arrived; one that was dropped meanwhile is forgotten already."""
        with self._lock:
            for _, size in self._database.execute(f"{SIZES} WHERE number = ?", (number,)).fetchall():
                self._delete(number, size)
            self._commit_if_due()

    def save(self) -> None:
        """Put on disk what is not there yet, where the last time was long enough ago."""
        with self._lock:
            self._commit_if_due()

    def close(self) -> None:
        """Put all on disk and close it. What arrives later is refused."""
        with self._lock:
            self._database.commit()
            self._database.close()

    def _recount(self) -> None:
        sizes = self._database.execute(SIZES).fetchall()
        self._bytes = sum(size for _, size in sizes)
        self._count = len(sizes)

    def _make_room(self, size: int) -> int:
        dropped = 0
        while self._count and self._bytes + size > self._max:
            number, oldest = self._database.execute(f"{SIZES} ORDER BY number LIMIT 1").fetchone()
            self._delete(number, oldest)
            dropped += 1
        return dropped

    def _delete(self, number: int, size: int) -> None:
        self._database.execute("DELETE FROM messages WHERE number = ?", (number,))
        self._bytes -= size
        self._count -= 1

    def _commit_if_due(self) -> None:
        if self._database.in_transaction and time.monotonic() - self._committed > COMMIT_S:
            self._database.commit()
            self._committed = time.monotonic()


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path or ":memory:", timeout=0.5, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"The queue {path} cannot be opened ({error})", "Take another path for it.") from None
    try:
        # Exclusive: two runs that share a queue would send everything twice.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(TABLE)
        database.commit()
    except sqlite3.Error as error:
        database.close()
        raise UsageError(
            f"The queue {path} cannot be used ({error})", "End the other run that uses it, or take another path."
        ) from None
    return database
