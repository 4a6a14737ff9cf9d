"""The GPU benchmark at a tiny size on the CPU, with another engine in TensorRT's place."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from aand_edge.engines.base import BuildOptions, BuiltEngine, Runner
from aand_edge.engines.onnxruntime import OnnxRuntime
from aand_edge.graph_facts import GraphFacts, check_seal
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import budget, engines, torch_ways
from benchmarks.gpu.budget import Budget

# Of a map value; random weights, whose maps spread by about 0.1.
BOUNDS = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.5}


class InTensorRtsPlace(OnnxRuntime):
    """Builds what TensorRT is asked to build, and remembers the graphs."""

    name = "tensorrt"
    built: list[tuple[str, int]]

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        facts = GraphFacts.from_graph(graph)
        assert check_seal(graph)
        self.built.append((facts.precision, facts.batch))
        return super().build(graph, BuildOptions(options.precision))

    def load(self, engine: Path, options: Mapping[str, Any]) -> Runner:
        return super().load(engine, options)


class Absent(OnnxRuntime):
    """A backend that has no device here."""

    name = "tensorrt-rtx"

    def runnable(self) -> str | None:
        return "there is no NVIDIA driver"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the script with these options; its JSON and its page."""
    InTensorRtsPlace.built = []
    monkeypatch.setattr(engines, "FACTORIES", {"tensorrt": InTensorRtsPlace, "tensorrt-rtx": Absent})
    for module in (engines, torch_ways):
        monkeypatch.setattr(module, "WARM_UP", 1)
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: module)  # half a minute
    line = "gpu --name tiny --device cpu --size 64 --repeats 1 --backbones resnet18 --out"

    def run(*more: str) -> tuple[dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", [*line.split(), str(tmp_path), *more])
        gpu.main()
        page = (tmp_path / "gpu-tiny.md").read_text(encoding="utf-8")
        return json.loads((tmp_path / "gpu-tiny.json").read_text(encoding="utf-8")), page

    return run


def test_every_batch_has_its_engines_and_each_answers_as_the_module(ended: Any) -> None:
    result, page = ended("--batches", "1", "2")
    ours = {(row["way"], row["batch"]): row for row in result["rows"]}
    for precision, bound in BOUNDS.items():
        for batch in (1, 2):
            assert ours[f"tensorrt {precision}", batch]["map_error"] < bound
            assert ours[f"tensorrt-rtx {precision}", batch]["not_measured"] == "there is no NVIDIA driver"
    assert sorted(InTensorRtsPlace.built) == [(p, b) for p in ("fp16", "fp32", "int8") for b in (1, 2)]
    assert {batch for way, batch in ours if way == "torch eager fp16"} == {1, 2}
    assert all("ms" in row for (way, _), row in ours.items() if way.startswith("torch"))
    assert [each["part"] for each in result["parts"]] == ["ceiling", "resnet18, PyTorch", "resnet18, engines"]
    assert page.count("copies included; map off by") == 6
    assert "the limit of each part: ceiling" in page


def test_without_time_nothing_is_begun_and_each_row_says_so(ended: Any) -> None:
    result, page = ended("--minutes", "0")
    assert {row["batch"] for row in result["rows"]} == {1, 8, 32}
    assert InTensorRtsPlace.built == []
    told = {row["not_measured"] for row in result["rows"]}
    assert told == {"the 0 s of this part were over", "there is no NVIDIA driver"}
    assert page.count("not measured") == len(result["rows"])


def test_a_part_leaves_its_time_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    whole = Budget(100, {"a": 1, "b": 3})
    with whole.part("a") as part:
        assert part.limit_s == 25
        now[0] = 10
        assert part.over() is None
    with whole.part("b") as part:
        assert part.limit_s == 90
        now[0] = 100
        assert part.over() == "the 90 s of this part were over"
    assert whole.told == [{"part": "a", "limit_s": 25, "took_s": 10}, {"part": "b", "limit_s": 90, "took_s": 90}]


def test_batches_that_do_not_begin_with_one_are_refused(ended: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as told:
        ended("--batches", "8")
    assert told.value.code == 2
    assert "must begin with 1" in capsys.readouterr().err
