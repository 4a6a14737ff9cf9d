"""The demo says in one sentence where there are no pictures, before it makes a workspace."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
