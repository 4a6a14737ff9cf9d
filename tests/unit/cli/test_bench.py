"""`bench` refuses what leaves open which pictures or which model to take, before anything is measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from aand_edge.data.layouts import Category
from aand_edge.engines.build import build_engine
from aand_edge.graph_cost import GraphCost, Layer
from tests.commands import Command
from tests.graphs import tiny_request, write_tiny_model
from tests.models import write_card, write_category


def write_engines_of_two_models(workspace: Path, first: Path, second: Path) -> None:
    """Engines of the models tiny and other, trained on these pictures."""
    write_card(workspace / "models/tiny", "tiny", first)
    write_card(workspace / "models/other", "other", second)
    path, manifest = build_engine(tiny_request(workspace))
    other = {**manifest.model_dump(mode="json"), "name": "other.onnxruntime.fp32", "model": "other"}
    path.with_name("other.onnxruntime.fp32.json").write_text(json.dumps(other))


@pytest.mark.parametrize("eager", [(), ("--eager",)])
def test_engines_of_models_of_several_folders_need_their_pictures_named(
    command: Command, tmp_path: Path, eager: tuple[str, ...]
) -> None:
    first, second = (write_category(tmp_path / line / "part") for line in ("line1", "line2"))
    write_engines_of_two_models(tmp_path, first, second)
    done = command("bench", *eager)
    assert done.code == 2
    assert f"trained on several folders: {first}, {second}. Name the test pictures with --data." in done.err


@pytest.mark.parametrize("data", [(), ("--data", "part")])
def test_each_model_is_a_yardstick_beside_the_engines_of_several(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: tuple[str, ...]
) -> None:
    parts = write_category(tmp_path / "part")
    write_engines_of_two_models(tmp_path, parts, parts)
    seen: list[Any] = []

    def note(engines: Any, category: Category, *, eager: Any, **_: object) -> None:
        seen.append(([manifest.name for manifest, _ in engines], category.root.resolve(), eager))
        raise KeyboardInterrupt

    monkeypatch.setattr("aand_edge.bench.run.run_bench", note)
    without_pytorch = SimpleNamespace(eager_contender=lambda folder: folder.name)
    monkeypatch.setitem(sys.modules, "aand_edge.bench.eager", without_pytorch)
    command("bench", "--eager", *data)
    command("bench", *data)
    names = ["other.onnxruntime.fp32", "tiny.onnxruntime.fp32"]
    assert [(engines, root, list(eager)) for engines, root, eager in seen] == [
        (names, parts, ["other", "tiny"]),
        (names, parts, []),
    ]


def test_engines_of_models_of_two_categories_are_not_judged_on_one(command: Command, tmp_path: Path) -> None:
    write_engines_of_two_models(tmp_path, *(write_category(tmp_path / "pictures" / name) for name in ("tiny", "other")))
    done = command("bench", "--data", "pictures", "--out", "report")
    assert done.code == 2
    assert "of models of several categories: other, tiny" in done.err
    assert "report:" not in done.err


@pytest.mark.parametrize("fault", ["torn engine", "torn manifest", "another machine"])
def test_a_broken_engine_is_found_before_any_is_measured(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("aand_edge.bench.run.measure_memory", lambda _: pytest.fail("an engine was measured"))
    write_card(tmp_path / "models/tiny", "tiny", write_category(tmp_path / "pictures/tiny"))
    build_engine(tiny_request(tmp_path))
    path, manifest = build_engine(tiny_request(tmp_path, "openvino"))
    if fault == "torn engine":
        path.with_name(manifest.engine).write_bytes(b"cut off")
    elif fault == "torn manifest":
        path.write_text(path.read_text()[:100])
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), "device": {"device": "another"}}))
    done = command("bench")
    assert done.code == 4
    assert path.stem in done.err


@pytest.mark.parametrize("more", [(), ("--roofline",)])
def test_a_report_that_cannot_be_written_is_noticed_before_anything_is_measured(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr("aand_edge.bench.run.run_bench", lambda *_, **__: pytest.fail("an engine was measured"))
    write_card(tmp_path / "models/tiny", "tiny", write_category(tmp_path / "pictures/tiny"))
    build_engine(tiny_request(tmp_path))
    (tmp_path / "report").write_text("mine")
    done = command("bench", "--out", "report", *more)
    assert done.code == 2
    assert "report is a file, and no folder" in done.err


def test_a_workspace_without_engines_says_how_to_build_one(command: Command) -> None:
    done = command("bench")
    assert done.code == 2
    assert "holds no engine. Build one with `aand-edge build`." in done.err


def write_costs(folder: Path) -> None:
    """Give the tiny model's graph one layer."""
    model = onnx.load(folder)
    layer = Layer("a", "stem", "fp32", 10**9, 10**6, 10**6, 10**6)
    for key, value in GraphCost(10**6, 10**6, (layer,)).to_metadata().items():
        model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=value))
    onnx.save_model(model, str(folder))


def test_floors_are_told_without_an_engine_and_without_the_onnx_package(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(tmp_path / "models/tiny")
    write_costs(tmp_path / "models/tiny/tiny.fp32.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = command("bench", "--roofline", "--json", "--out", "floors")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["label"] == "computed, not measured"
    (graph,) = found["graphs"]
    assert {each["chip"] for each in graph["floors"]} > {"T4", "Jetson AGX Orin 64GB"}
    assert (tmp_path / "floors/roofline.md").is_file()
    assert "computed, not measured" in command("bench", "tiny", "--roofline").out


def test_floors_of_an_engine_are_its_graphs(command: Command, tmp_path: Path) -> None:
    request = tiny_request(tmp_path)
    build_engine(request)
    done = command("bench", "tiny.onnxruntime.fp32", "--roofline")
    assert done.code == 2
    assert "is not on this machine" in done.err
    write_tiny_model(tmp_path / "models/tiny")
    done = command("bench", "tiny.onnxruntime.fp32", "--roofline")
    assert done.code == 4
    assert "does not say what its layers cost" in done.err


@pytest.mark.parametrize("option", [("--repeats", "3"), ("--eager",), ("--budget-ms", "3"), ("--data", ".")])
def test_what_a_floor_does_not_need_is_refused(command: Command, option: tuple[str, ...]) -> None:
    done = command("bench", "--roofline", *option)
    assert done.code == 2
    assert f"{option[0]} has no effect with --roofline" in done.err


def test_a_workspace_whose_graphs_are_too_old_says_what_to_do(command: Command, tmp_path: Path) -> None:
    assert "holds no graph" in command("bench", "--roofline").err
    write_tiny_model(tmp_path / "models/tiny")
    done = command("bench", "--roofline")
    assert done.code == 2
    assert "left out: " in done.err
    assert "No graph says what its layers cost" in done.err
