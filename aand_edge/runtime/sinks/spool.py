"""Messages that wait to be sent, in order and bounded, on disk or in memory."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from aand_edge.errors import AandEdgeError, UsageError

# A commit costs flash some pages. Messages that come and go within this time share one, so a broker that is there
# costs next to nothing, and a kill loses no more than this.
COMMIT_S = 0.5
TABLE = "CREATE TABLE IF NOT EXISTS messages (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)"
SIZES = "SELECT number, length(CAST(topic AS BLOB)) + length(payload) FROM messages"
TOTAL = "SELECT count(*), coalesce(sum(length(CAST(topic AS BLOB)) + length(payload)), 0) FROM messages"
LAST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0)"


class Message(NamedTuple):
    """`number` grows with each message and is never used again."""

    number: int
    topic: str
    payload: bytes


class Spool:
    """A queue that several threads may use: what is put last comes last, and the oldest is dropped where it is full.

    path     an SQLite file that outlives the process; None keeps the queue in memory
    max_mb   10⁶ bytes of messages
    trouble  why the file cannot be written now; until it can, what was put waits in memory, within `max_mb` too
    """

    def __init__(self, path: Path | None, max_mb: float) -> None:
        """Raises UsageError where the file cannot be opened, AandEdgeError where another run has it."""
        self.dropped = 0
        self.trouble: str | None = None
        self._max = int(max_mb * 1_000_000)
        self._lock = threading.Lock()
        self._database = _open(path)
        self._committed = time.monotonic()
        # What the file does not know yet. SQLite gives up all of a transaction whose commit fails.
        self._unsaved: dict[int, Message] = {}
        self._gone: set[int] = set()
        self._count, self._bytes = map(int, self._database.execute(TOTAL).fetchone())
        self._last = int(self._database.execute(LAST).fetchone()[0])

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    def put(self, topic: str, payload: bytes) -> int:
        """Take a message; returns how many old ones were dropped for it."""
        with self._lock:
            message = Message(self._last + 1, topic, payload)
            size = len(topic.encode()) + len(payload)
            dropped = self._make_room(size)
            self._insert(message)
            self._unsaved[message.number] = message
            self._count += 1
            self._bytes += size
            self._last = message.number
            self._commit_if_due()
        self.dropped += dropped
        return dropped

    def after(self, number: int, limit: int) -> list[Message]:
        """The oldest messages with a number above this one."""
        query = "SELECT number, topic, payload FROM messages WHERE number > ? ORDER BY number LIMIT ?"
        with self._lock:
            return [Message(*row) for row in self._database.execute(query, (number, limit))]

    def remove(self, number: int) -> bool:
        """Forget a message that has arrived; False where it was dropped meanwhile."""
        with self._lock:
            found = self._database.execute(f"{SIZES} WHERE number = ?", (number,)).fetchall()
            for each in found:
                self._delete(*each)
            self._commit_if_due()
            return bool(found)

    def save(self, at_once: bool = False) -> None:
        """Put on disk what is not there yet; where it is not needed at once, if the last time was long enough ago."""
        with self._lock:
            if at_once:
                self._commit()
            else:
                self._commit_if_due()

    def close(self) -> None:
        """Put all on disk and close it. What arrives later is refused; what a full disk does not take is dropped."""
        with self._lock:
            self._commit()
            self.dropped += len(self._unsaved)
            self._count -= len(self._unsaved)
            self._database.rollback()
            self._database.close()

    def _make_room(self, size: int) -> int:
        dropped = 0
        while self._count and self._bytes + size > self._max:
            self._delete(*self._database.execute(f"{SIZES} ORDER BY number LIMIT 1").fetchone())
            dropped += 1
        return dropped

    def _insert(self, message: Message) -> None:
        self._database.execute("INSERT INTO messages (number, topic, payload) VALUES (?, ?, ?)", message)

    def _delete(self, number: int, size: int) -> None:
        self._database.execute("DELETE FROM messages WHERE number = ?", (number,))
        self._bytes -= size
        self._count -= 1
        if self._unsaved.pop(number, None) is None:
            self._gone.add(number)

    def _commit_if_due(self) -> None:
        if self._database.in_transaction and time.monotonic() - self._committed > COMMIT_S:
            self._commit()
            self._committed = time.monotonic()

    def _commit(self) -> None:
        try:
            self._database.commit()
        except sqlite3.Error as error:
            self.trouble = str(error)
            self._begin_again()
        else:
            self.trouble = None
            self._unsaved.clear()
            self._gone.clear()

    def _begin_again(self) -> None:
        """The transaction anew: it is in memory until it can be written, and so it cannot fail for want of room."""
        self._database.rollback()
        self._database.executemany("DELETE FROM messages WHERE number = ?", [(number,) for number in self._gone])
        for message in self._unsaved.values():
            self._insert(message)


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
        database.execute("PRAGMA cache_spill = OFF")  # a full disk is met at a commit and nowhere else
        database.execute(TABLE)
        database.commit()
    except sqlite3.Error as error:
        database.close()
        raise _unusable(path, error) from None
    return database


def _unusable(path: Path | None, error: sqlite3.Error) -> AandEdgeError:
    """A run that ends may hold it yet, and a full disk may have room again; a file that is no queue stays none."""
    passes = isinstance(error, sqlite3.OperationalError) and "readonly" not in str(error)
    kind = AandEdgeError if passes else UsageError
    return kind(f"The queue {path} cannot be used ({error})", "End the other run that uses it, or take another path.")
