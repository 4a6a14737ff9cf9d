"""Commands around a Triton server: pack a model for it, judge by it, accept it, and what is told when it is away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

pytest.importorskip("tritonclient.grpc")

from aand_edge.engines.build import build_engine
from aand_edge.engines.triton.config import Serving
from aand_edge.export.export import Exported
from aand_edge.export.parity import Parity
from aand_edge.export.served import serve_graph
from aand_edge.graph_facts import GraphFacts
from tests.commands import Command
from tests.graphs import tiny_frames, tiny_request, write_tiny_model
from tests.models import write_card, write_category
from tests.triton_server import TritonServer


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny graph is made of operators that no exported graph has."""
    monkeypatch.setattr("aand_edge.cli.graphs._check", lambda graph: None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TritonServer]:
    """A server with tiny-fp32, whose model lies in this workspace."""
    graph, holdout = write_tiny_model(tmp_path / "models/tiny")
    serve_graph(tmp_path / "repository", graph, holdout, Serving(), 0.1)
    with TritonServer(tmp_path / "repository") as running:
        yield running


def write_pictures(folder: Path) -> None:
    folder.mkdir()
    for number, frame in enumerate(tiny_frames(4)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)


def test_a_station_judges_by_a_server(command: Command, server: TritonServer, tmp_path: Path) -> None:
    write_pictures(tmp_path / "parts")
    done = command("run", "parts", "--engine", server.uri("tiny-fp32"), "--json", "--out", "verdicts")
    assert done.code == 0, done.err
    assert json.loads(done.out)["judged"] == 4
    lines = [json.loads(line) for line in (tmp_path / "verdicts/verdicts.jsonl").read_text().splitlines()]
    manifest = json.loads((tmp_path / "repository/tiny-fp32/manifest.json").read_text())
    judged = [line for line in lines if line["event"] == "inspected"]
    assert {line["threshold"] for line in judged} == {manifest["threshold"]["value"]}
    (tmp_path / "aand-edge.toml").write_text(f'[run]\nengine = "{server.uri("tiny-fp32")}"\n')
    assert "tiny-fp32" in command("run", "parts").out


def test_a_server_that_goes_away_ends_the_run_in_one_sentence(
    command: Command, server: TritonServer, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "parts")
    uri, infer = server.uri("tiny-fp32"), server.models["tiny-fp32"].infer

    def dies(request: object) -> object:
        if len(server.batches) > 3:  # the first was the warm-up
            server._server.stop(None)
        return infer(request)

    server.models["tiny-fp32"].infer = dies  # type: ignore[method-assign, assignment]
    done = command("run", "parts", "--engine", uri, "--out", "verdicts")
    assert done.code == 1
    assert "The engine failed, and again after it was opened afresh: The Triton server 127.0.0.1" in done.err
    assert (tmp_path / "verdicts/verdicts.jsonl").read_text().count('"inspected"') in (2, 3)
    done = command("run", "parts", "--engine", uri)
    assert done.code == 1
    assert "is away" in done.err


@pytest.mark.usefixtures("unchecked")
def test_a_server_is_accepted_and_benched_like_any_engine(
    command: Command, server: TritonServer, tmp_path: Path
) -> None:
    parts = write_category(tmp_path / "parts")
    write_card(tmp_path / "models/card", "tiny", parts)
    shutil.move(tmp_path / "models/card/card.json", tmp_path / "models/tiny/card.json")
    uri = server.uri("tiny-fp32")
    done = command("build", "models/tiny/tiny.fp32.onnx", "--backend", "triton", "--server", uri, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["device"]["server"] == uri
    done = command("bench", "tiny.triton.fp32", uri, "--repeats", "2", "--warmup", "0", "--json", "--out", "report")
    assert done.code == 2, "one name twice"
    assert "Two engines are called tiny.triton.fp32" in done.err
    done = command("bench", uri, "--repeats", "2", "--warmup", "0", "--json", "--out", "report")
    assert done.code == 0, done.err
    assert json.loads(done.out)["engines"][0]["backend"] == "triton"
    done = command("threshold", uri)
    assert done.code == 2
    assert "There is no engine 'triton://" in done.err


@pytest.mark.usefixtures("unchecked")
def test_options_of_a_server_are_refused_elsewhere(command: Command, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "models/tiny")
    graph = "models/tiny/tiny.fp32.onnx"
    done = command("build", graph, "--backend", "onnxruntime", "--server", "triton://box/tiny")
    assert done.code == 2
    assert "--server has no effect on onnxruntime engines" in done.err
    done = command("build", graph, "--backend", "triton", "--server", "box")
    assert done.code == 2
    assert "'box' is no address of a Triton model" in done.err
    done = command("build", "tiny", "--backend", "triton", "--precision", "int8", "--max-drop", "1")
    assert "--max-drop builds engines, a server has its own" in done.err
    assert "--max-batch needs --triton" in command("export", "--max-batch", "4").err
    assert "rounds int8 graphs" in command("export", "--triton", "repository", "--precision", "int8").err
    assert "--batch has no effect with --triton" in command("export", "--triton", "repository", "--batch", "4").err


def test_a_built_engine_is_packed_without_the_training_stack(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_engine(tiny_request(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    done = command("export", "--triton", "repository", "--engine", "tiny.onnxruntime.fp32", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["triton"]
    assert (found["folder"], found["version"]) == ("repository/tiny-fp32", 1)
    assert (tmp_path / "repository/tiny-fp32/config.pbtxt").is_file()
    for option in (("--precision", "fp16"), ("--max-batch", "4"), ("--batch", "2")):
        done = command("export", "--triton", "repository", "--engine", "tiny.onnxruntime.fp32", *option)
        assert f"{option[0]} has no effect with --engine" in done.err
    done = command("export", "tiny", "--triton", "repository", "--engine", "tiny.onnxruntime.fp32")
    assert "Both the model tiny and the engine" in done.err


def test_an_exported_graph_is_packed_with_it(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, holdout = write_tiny_model(tmp_path / "models/tiny")
    write_card(tmp_path / "models/card", "tiny", tmp_path)
    shutil.move(tmp_path / "models/card/card.json", tmp_path / "models/tiny/card.json")
    exported = Exported(graph, holdout, GraphFacts.from_graph(graph), Parity(1, 0.0, 0.0, 0.0, 1.0, 1e-4))
    monkeypatch.setattr("aand_edge.export.export.export_model", lambda *_: exported)
    done = command("export", "tiny", "--triton", "repository", "--max-batch", "4", "--instances", "2")
    assert done.code == 0, done.err
    assert "repository/tiny-fp32, version 1" in done.out
    assert "triton://HOST:8001/tiny-fp32" in done.out
    config = (tmp_path / "repository/tiny-fp32/config.pbtxt").read_text()
    assert "max_batch_size: 4" in config
    assert "count: 2" in config
