"""`inspect` finds what it is pointed at, says what it is, and refuses what is neither graph nor engine nor model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest

from aand_edge.engines.build import build_engine
from aand_edge.graph_facts import GraphFacts, seal
from tests.commands import Command
from tests.graphs import tiny_request, write_tiny_model

NAME = "tiny.onnxruntime.fp32"


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


@pytest.mark.parametrize("what", [NAME, f"{NAME}.json", f"engines/{NAME}.json", "engines/{engine}"])
def test_an_engine_is_found_by_name_and_by_file(command: Command, engine: Path, what: str) -> None:
    file = json.loads(engine.read_text())["engine"]
    done = command("inspect", what.format(engine=file), "--json")
    assert done.code == 0
    assert json.loads(done.out)["name"] == NAME


@pytest.mark.parametrize("what", [NAME, f"engines/{NAME}.pending", f"engines/{NAME}.plan"])
def test_an_engine_that_waits_to_be_accepted_is_described_as_such(command: Command, engine: Path, what: str) -> None:
    facts = json.loads(engine.read_text())
    waiting = {key: value for key, value in facts.items() if key not in ("acceptance", "threshold")}
    engine.with_suffix(".pending").write_text(json.dumps({**waiting, "holdout": "tiny.holdout.npz"}))
    engine.with_suffix(".plan").write_bytes(b"built elsewhere")
    engine.unlink()
    done = command("inspect", what)
    assert done.code == 0
    assert re.search(r"^accepted +no *$", done.out, re.MULTILINE)


def test_no_python_is_shown_of_an_engine(command: Command, engine: Path) -> None:
    shown = command("inspect", NAME).out
    assert re.search(r"^frame +32x32 *$", shown, re.MULTILINE)
    assert re.search(r"^roi +– *$", shown, re.MULTILINE)
    assert not re.search(r"None|True|False|[(\[{]\d", shown)


@pytest.mark.parametrize("name", ["notes.txt", "data.json", "folder", "picture.png", ".", "/"])
def test_what_is_nothing_of_ours_is_a_usage_error(command: Command, tmp_path: Path, name: str) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif Path(name).suffix:
        (tmp_path / name).write_bytes(b'{"a": "\xff"}')
    done = command("inspect", name)
    assert done.code == 2
    assert f"{name} is no graph, engine or model" in done.err


def test_a_name_that_is_not_there_is_told_with_where_to_look(command: Command) -> None:
    done = command("inspect", "absent")
    assert done.code == 2
    assert "There is no file, engine or model 'absent'" in done.err
    assert "engines" in done.err


def test_an_engine_of_a_later_version_is_a_mismatch(command: Command, engine: Path) -> None:
    engine.write_text(json.dumps({**json.loads(engine.read_text()), "backend": "teapot"}))
    done = command("inspect", NAME)
    assert done.code == 4
    assert "needs the backend 'teapot'" in done.err


@pytest.mark.parametrize("arguments", [("inspect",), ("build", "--backend", "onnxruntime"), ("calibrate",)])
def test_a_graph_that_lost_a_bit_is_refused(command: Command, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    graph, _ = write_tiny_model(tmp_path / "models")
    seal(graph)
    data = bytearray(graph.read_bytes())
    data[data.index(b"scale") + 10] ^= 1
    graph.write_bytes(data)
    done = command(arguments[0], str(graph), *arguments[1:])
    assert done.code == 4
    assert "is damaged" in done.err
    assert "Export the graph again" in done.err


def test_a_graph_whose_digest_lost_its_name_is_refused(command: Command, tmp_path: Path) -> None:
    graph, _ = write_tiny_model(tmp_path / "models")
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {**GraphFacts.from_graph(graph).to_metadata(), "aand.format": "2"})
    onnx.save_model(model, str(graph))
    seal(graph)
    graph.write_bytes(graph.read_bytes().replace(b"aand.sha256", b"aand.sha257"))
    done = command("inspect", str(graph))
    assert done.code == 4
    assert "is damaged: the SHA-256 that it was written with is not in it. Export the graph again." in done.err


def test_of_a_graph_of_before_it_is_said_that_damage_cannot_be_told(command: Command, tmp_path: Path) -> None:
    graph, _ = write_tiny_model(tmp_path / "models")
    assert "carries no SHA-256 of its own" in command("inspect", str(graph)).err
    seal(graph)
    assert "SHA-256" not in command("inspect", str(graph)).err
