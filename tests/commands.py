"""Commands as a user gives them: in a process of their own, or in the tests' own; and what those left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]

PROGRAM = Path(sys.executable).with_name("aand-edge")


def run(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; it must end with `code` and never show a traceback."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "140"}
    done = subprocess.run(
        [PROGRAM, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == code, done.stderr
    return done


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    """The one JSON object on stdout."""
    value: dict[str, Any] = json.loads(run(folder, *arguments, "--json").stdout)
    return value


def wait_for(true: Callable[[], bool]) -> None:
    """Half a minute at most, or the test fails."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
