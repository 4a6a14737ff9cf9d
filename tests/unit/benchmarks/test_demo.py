"""The demo says in one sentence where there are no pictures, before it installs anything or makes a workspace."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def test_a_folder_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    script = REPOSITORY / "benchmarks/demo.sh"
    done = subprocess.run(
        ["bash", script, tmp_path / "demo", tmp_path / "nope"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: There is no folder {tmp_path / 'nope'}. Give DATA the folder")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "demo").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_make_looks_for_the_pictures_before_it_installs(tmp_path: Path, jobs: str) -> None:
    def make(data: Path) -> subprocess.CompletedProcess[str]:
        """`false` is no Python: installing fails, and makes nothing."""
        words = ["make", jobs, "demo", f"DATA={data}", f"VENV={tmp_path / 'venv'}", "PYTHON=false"]
        return subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)

    done = make(tmp_path / "nope")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: There is no folder {tmp_path / 'nope'}. Give DATA the folder")
    assert "false" not in done.stdout, "an installation was begun"
    there = make(tmp_path)
    assert "There is no folder" not in there.stderr
    assert "false -m venv" in there.stdout
