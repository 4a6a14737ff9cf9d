"""benchmarks/ is a package of its own: never installed, and in part run by other people's environments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import pytest

from benchmarks import REPOSITORY
from benchmarks.turns import environment

WALL = """
import importlib.abc, sys
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("aand_edge", "pydantic", "torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Wall())
import benchmarks.peers_anomalib
print(benchmarks.peers_anomalib.__name__)
"""


def test_it_is_no_part_of_the_wheel() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["aand_edge"]


def test_a_peer_of_another_environment_needs_none_of_our_libraries_and_finds_us_from_anywhere(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WALL]
    told = subprocess.run(command, cwd=tmp_path, env=environment(2), check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "benchmarks.peers_anomalib"


def test_what_was_on_the_path_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert environment()["PYTHONPATH"].split(os.pathsep) == [str(REPOSITORY), "elsewhere"]
    assert environment(3)["OMP_NUM_THREADS"] == "3"
