"""Every script says what it takes, and those that need no trained model run at a tiny size."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aand_edge.engines.build import build_engine
from aand_edge.export.regions import default_regions
from benchmarks import REPOSITORY, RESULTS
from tests.graphs import tiny_request

ONE, SEVERAL = "tiny.onnxruntime.fp32", "tiny-b2.onnxruntime.fp32"
FOLDER = REPOSITORY / "benchmarks"
SCRIPTS = sorted(
    [path.stem for path in FOLDER.glob("*.py") if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")]
    + [f"{path.parent.name}.__main__" for path in FOLDER.glob("*/__main__.py")]
)


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    import_module(f"benchmarks.{name}").main()


def written(out: Path) -> tuple[dict[str, Any], str]:
    """A script's JSON and its page."""
    result: dict[str, Any] = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    return result, out.with_suffix(".md").read_text(encoding="utf-8")


def test_there_are_scripts() -> None:
    assert {"loop", "metrics", "gpu.__main__", "soak.__main__"} < set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit) as told:
        run(monkeypatch, name, "--help")
    assert told.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: ")
    assert import_module(f"benchmarks.{name}").__doc__.strip().splitlines()[0] in said


def test_one_way_to_run_them_is_documented() -> None:
    texts = [*FOLDER.rglob("*.py"), *FOLDER.glob("*.md"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md"]
    for path in texts:
        assert not re.search(r"python3? (\S*/)?benchmarks/\w+\.py", path.read_text(encoding="utf-8")), path


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an engine of one frame and one of two."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "aand-edge.toml").write_text("[run]\n", encoding="utf-8")
    build_engine(tiny_request(folder, size=64))  # the least that a rendered part takes
    several = tiny_request(folder, batch=2, size=64)
    build_engine(replace(several, graph=several.graph.rename(several.graph.with_name("tiny-b2.fp32.onnx"))))
    return folder


def test_loop(monkeypatch: pytest.MonkeyPatch, workspace: Path, tmp_path: Path) -> None:
    run(monkeypatch, "loop", workspace, "--engine", ONE, "--frames", 8, "--rate", 50, "--out", tmp_path / "loop")
    result, page = written(tmp_path / "loop")
    assert result["frames"] + result["dropped"] == 8
    assert result["beside_ms"]["p50"] > 0
    assert "| · waited |" in page


def test_batch(monkeypatch: pytest.MonkeyPatch, workspace: Path, tmp_path: Path) -> None:
    few = ("--repeats", 3, "--rounds", 1, "--frames", 6, "--rate", 50)
    run(monkeypatch, "batch", workspace, "--engines", ONE, SEVERAL, *few, "--out", tmp_path / "batch")
    result, page = written(tmp_path / "batch")
    assert [row["batch"] for row in result["rows"]] == [1, 2]
    assert page.count("| tiny") == 2


def test_page(monkeypatch: pytest.MonkeyPatch, workspace: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    source = ("--source", "test://?rate=50&parts=2", "--frames", 4, "--rounds", 1)
    run(monkeypatch, "page", workspace, "--engine", ONE, *source, "--out", tmp_path / "page")
    result, page = written(tmp_path / "page")
    assert set(result["ways"]) == {"no page", "nobody watches", "one browser", "four browsers"}
    assert all(way["frames"] > 0 for way in result["ways"].values())
    assert "| four browsers |" in page


def test_start(monkeypatch: pytest.MonkeyPatch, workspace: Path, tmp_path: Path) -> None:
    run(monkeypatch, "start", workspace, "--engine", ONE, "--repeats", 1, "--out", tmp_path / "start")
    result, page = written(tmp_path / "start")
    seconds = result["start_to_first_verdict_s"]
    assert 0 < seconds["least"] == seconds["median"] == seconds["most"]
    assert "| first verdict, s |" in page


def test_drift(monkeypatch: pytest.MonkeyPatch, workspace: Path, tmp_path: Path) -> None:
    drift = import_module("benchmarks.drift")
    monkeypatch.setattr(drift, "REPEATS", 3)
    few = ("--accepted", 10, "--parts", 220, "--changed", 10, "--out", tmp_path / "drift")
    run(monkeypatch, "drift", workspace, "--engine", ONE, *few)
    result, page = written(tmp_path / "drift")
    assert result["changes"]["lamp 20 % darker"]["brightness"]["found"] == 1
    assert "| lamp 20 % darker |" in page


def test_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run(monkeypatch, "metrics", "--pictures", 8, "--levels", 20, "--out", tmp_path / "metrics")
    result, page = written(tmp_path / "metrics")
    assert result["difference"] < 1e-9
    assert 0.3 < result["aupro"] < 1
    assert "numpy " in page


def test_score_shift(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train/good", "test/good", "test/bent"):
        (tmp_path / "part" / split).mkdir(parents=True)
        for number in range(3):
            picture = rng.integers(0, 256, (32, 32, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "part" / split / f"{number}.png"), picture)
    for precision in ("fp32", "fp16"):
        build_engine(tiny_request(tmp_path, "openvino", precision))
    few = ("--data", tmp_path / "part", "--name", "tiny", "--out", tmp_path)
    run(monkeypatch, "score_shift", "--workspace", tmp_path, *few)
    result, page = written(tmp_path / "score-shift-tiny")
    assert [(row["pictures"], row["count"]) for row in result["rows"]] == [("held out", 12), ("good test pictures", 3)]
    assert all(0 < row["largest"] < 0.01 for row in result["rows"])
    assert "| tiny.openvino.fp16 | held out | 12 |" in page
    for path in (tmp_path / "engines").glob("*fp32.json"):
        path.unlink()
    with pytest.raises(SystemExit, match="has 0 OpenVINO engines of fp32"):
        run(monkeypatch, "score_shift", "--workspace", tmp_path, *few)


def test_pareto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    run(monkeypatch, "pareto", RESULTS / "screw-pareto.json", "--out", tmp_path / "pareto.svg")
    assert capsys.readouterr().out.strip() == str(tmp_path / "pareto.svg")
    drawn = (tmp_path / "pareto.svg").read_text(encoding="utf-8")
    assert all(word in drawn for word in ("resnet18", "efficientnet_lite0", "int8", "AUPRO"))


def test_the_calibrations_that_are_tried_differ_in_what_they_are_called_after() -> None:
    from benchmarks.calibration import DEFAULT, variants

    regions = default_regions("resnet18")
    tried = {told: rest for told, *rest in variants(8, regions)}
    assert tried["default"] == [DEFAULT, regions, None]
    assert "8 pictures" in tried
    assert "32 pictures" not in tried  # there are not so many
    assert len({str(rest) for rest in tried.values()}) >= len(tried) - 1  # of 7 and 8 bits one is the default
    assert tried["and stem"][1] == (*regions, "stem")
    assert "upsample" not in tried["without upsample"][1]
