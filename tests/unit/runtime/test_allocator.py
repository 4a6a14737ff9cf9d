"""What an engine takes goes back to the system when it is closed, whoever allocates beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Blocks of an engine's size, each freed while a small one behind it lives on: in an arena they would stay.
CODE = """
import ctypes, re, sys
from contextlib import nullcontext
from pathlib import Path
from aand_edge.runtime.allocator import blocks_of_their_own

def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.free(libc.malloc(24 << 20))  # malloc takes larger blocks from arenas from now on
before, large = resident(), []
with blocks_of_their_own() if sys.argv[1] == "own" else nullcontext():
    for _ in range(30):
        large.append(libc.malloc(1 << 20))
        ctypes.memset(large[-1], 1, 1 << 20)
        ctypes.memset(libc.malloc(64), 1, 64)
for each in large:
    libc.free(each)
print(resident() - before)
"""


def kept(how: str) -> float:
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_blocks_of_their_own_are_given_back() -> None:
    assert kept("own") < 5
    if kept("arena") < 20:
        pytest.skip("this C library gives back what lies between small blocks")
