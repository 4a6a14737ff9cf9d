"""Memory that an engine gives back when it is closed, however long the loop runs and however many threads it has.

glibc's malloc takes a block from the system by itself (mmap) or out of a thread's arena, by a threshold. Once a large
block has been freed, it raises that threshold to tens of megabytes: from then on an engine's weights lie in the arena
of whichever thread loaded them, between small blocks that outlive them, and each new engine finds its place in
another arena. Measured on an engine of 25 MB beside four busy threads, thirty new builds cost 70 MB, and more with
each arena. Blocks of their own go back whole. Pictures, though, are better off in arenas: a fresh page costs
more than writing it, and resizing 1080p would take three times as long. So it is for engines alone.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Numbers of glibc's malloc.h; other C libraries have no mallopt, or none of these.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
OF_ENGINES = 128 << 10  # bytes; malloc's own before it adapts
OF_PICTURES = 32 << 20  # where malloc's own ends up, and the most that it allows
_lock = threading.Lock()
_users = 0


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
