"""docs/extending.md as it stands: its files and its changes, made in a copy of the program, which then runs."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from aand_edge.config.sections import Backbone
from aand_edge.engines.registry import FACTORIES
from tests.conftest import REPOSITORY
from tests.documents import blocks
from tests.graphs import tiny_frames, tiny_scores

PAGE = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")
BACKBONE = "resnet101"


def change(root: Path, diff: str) -> None:
    """Make the changes of a block: lines with - are replaced by those with +, between the others, which stay."""
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        file, _, body = part.partition("\n")
        lines = body.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
        text = (root / file).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{file} has {text.count(before)} times:\n{before}"
        (root / file).write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with everything that the page adds."""
    root = tmp_path_factory.mktemp("program")
    shutil.copytree(REPOSITORY / "aand_edge", root / "aand_edge", ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks(PAGE):
        if block.language == "diff":
            change(root, block.text)
        if block.language == "python":
            first, _, rest = block.text.partition("\n")
            assert not (root / first[2:]).exists(), first
            (root / first[2:]).write_text(rest, encoding="utf-8")
    return root


def python(program: Path, folder: Path, code: str, *arguments: str) -> str:
    """What the code prints, run with that copy."""
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{program}{os.pathsep}{REPOSITORY}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_adds_one_of_each_in_files_of_their_own() -> None:
    files = [each.text.partition("\n")[0] for each in blocks(PAGE) if each.language == "python"]
    assert [Path(file).parent.name for file in files] == ["engines", "sources", "sinks"]
    assert not any(re.search(r"^\s*\.\.\.$|: \.\.\.$", each.text, re.MULTILINE) for each in blocks(PAGE))


BUILD = """
import sys
from pathlib import Path
import aand_edge
from aand_edge.engines.build import build_engine
from tests.graphs import tiny_request
assert Path(aand_edge.__file__).is_relative_to(sys.argv[1])
build_engine(tiny_request(Path(), backend="plain"))
"""
RUN = "from aand_edge.cli import main; main()"


def test_the_backend_answers_the_source_gives_frames_and_the_sink_gets_verdicts(program: Path, tmp_path: Path) -> None:
    (tmp_path / "aand-edge.toml").write_text('[run]\ntable = "verdicts.csv"\n', encoding="utf-8")
    frames = tiny_frames(5, seed=1)
    np.save(tmp_path / "frames.npy", frames)
    python(program, tmp_path, BUILD, str(program))
    manifest = json.loads((tmp_path / "engines/tiny.plain.fp32.json").read_text(encoding="utf-8"))
    assert (manifest["backend"], manifest["acceptance"]["pictures"]) == ("plain", 12)
    assert manifest["executed"]
    printed = python(program, tmp_path, RUN, "run", "npy://frames.npy", "--engine", "tiny.plain.fp32", "--json")
    summary = json.loads(printed)
    assert (summary["judged"], summary["failed"], summary["dropped"]) == (5, 0, 0)
    with (tmp_path / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert [float(score) for _, score, _ in rows] == pytest.approx([*map(float, tiny_scores(frames))], abs=1e-3)
    assert sum(verdict == "reject" for _, _, verdict in rows) == summary["rejected"]


EXPORT = """
import sys
from pathlib import Path
import numpy as np
import torch
from aand_edge.engines.registry import find_backend
from aand_edge.export.graph import write_graph
from aand_edge.graph_facts import GraphFacts
from aand_edge.model.aand import Aand
from aand_edge.model.fused import FusedAand
torch.manual_seed(0)
name = sys.argv[1]
facts = GraphFacts(name, name, 64, (64, 64), "BGR", "fp32", "0" * 64)
write_graph(FusedAand(Aand(name, 64), half=False), facts, Path("x.onnx"))
with find_backend("onnxruntime").load(Path("x.onnx"), {"threads": 1}) as runner:
    answer = runner.infer(np.full((1, 64, 64, 3), 127, np.uint8))
print(answer.anomaly_map.shape, float(answer.score[0]) == float(answer.anomaly_map.max()) > 0)
"""


def test_the_backbone_is_taken_and_its_graph_exported(program: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    python(program, tmp_path, RUN, "init", ".", "--backbone", BACKBONE)
    assert python(program, tmp_path, EXPORT, BACKBONE) == "(1, 64, 64) True\n"


def test_the_walls_stand_and_types_are_right_with_what_is_added(program: Path) -> None:
    """The new files are such as this repository takes: checked by the same tools."""
    shutil.copy(REPOSITORY / "pyproject.toml", program)
    added = [each.text.partition("\n")[0][2:] for each in blocks(PAGE) if each.language == "python"]
    for name, *arguments in (["ruff", "check", *added], ["mypy", *added], ["lint-imports"]):
        command = [Path(sys.executable).with_name(name), *arguments]
        done = subprocess.run(command, cwd=program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (
            get_args(Backbone),
            [
                "cli/train.py",
                "config/template.py",
                "model/choices.py",
                "model/backbones.py",
                "../benchmarks/roofline.py",
            ],
        ),
        (tuple(FACTORIES), ["cli/options.py", "config/template.py", "../README.md"]),
        (
            ("v4l2", "csi", "rtsp", "genicam", "test"),
            ["cli/cameras.py", "config/template.py", "runtime/sources/uri.py"],
        ),
    ],
    ids=["backbones", "backends", "sources"],
)
def test_the_places_that_the_page_names_have_every_name(names: tuple[str, ...], places: list[str]) -> None:
    for place in places:
        assert Path(place).name in PAGE or place.endswith("README.md")
        text = (REPOSITORY / "aand_edge" / place).read_text(encoding="utf-8")
        assert [name for name in names if name not in text] == [], place
