"""Memory that does not grow, however long the loop runs and however many threads it has.

An engine gives back what it took when it is closed. glibc's malloc takes a block from the system by itself (mmap) or
out of a thread's arena, by a threshold. Once a large block has been freed, it raises that threshold to tens of
megabytes: from then on an engine's weights lie in the arena of whichever thread loaded them, between small blocks
that outlive them, and each new engine finds its place in another arena. Measured on an engine of 25 MB beside four
busy threads, thirty new builds cost 70 MB, and more with each arena. Blocks of their own go back whole. Pictures,
though, are better off in arenas: a fresh page costs more than writing it, and resizing 1080p would take three times
as long. So it is for engines alone.

And threads share a few arenas. glibc has eight for each processor core, gives a new thread one of its own, and keeps
what a picture leaves free there between small blocks: each arena keeps the most that it ever held, and as threads come
and go those maxima rise one after the other, while what is in use stays the same.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Numbers of glibc's malloc.h; other C libraries have no mallopt, or none of these.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
OF_ENGINES = 128 << 10  # bytes; malloc's own before it adapts
OF_PICTURES = 32 << 20  # where malloc's own ends up, and the most that it allows
ARENAS = 2  # six threads that code 1080p JPEG on two cores do as much a processor second, within 3 %
_lock = threading.Lock()
_users = 0


def few_arenas() -> None:
    """From now on threads share `ARENAS`, unless MALLOC_ARENA_MAX asks for another number; call it before they start.

    It comes too late where a process has had more than eight arenas already: glibc has settled on a number then.
    """
    library = _glibc()
    if library is not None and "MALLOC_ARENA_MAX" not in os.environ:
        library.mallopt(ARENA_MAX, ARENAS)


@contextmanager
def blocks_of_their_own() -> Iterator[None]:
    """What is allocated now, of 128 KiB or more and by any thread, goes back to the system when it is freed."""
    global _users
    with _lock:
        _users += 1
        _set(OF_ENGINES)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _set(OF_PICTURES, trim=True)


def _set(threshold: int, trim: bool = False) -> None:
    library = _glibc()
    if library is not None:
        library.mallopt(MMAP_THRESHOLD, threshold)
        library.mallopt(TRIM_THRESHOLD, 2 * OF_PICTURES)  # as malloc itself does with the first
        if trim:
            library.malloc_trim(0)  # the smaller blocks of the engine before


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
