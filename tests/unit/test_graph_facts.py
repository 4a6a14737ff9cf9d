"""The facts of a fused graph are read without onnx as onnx reads them, and what is no such graph is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from aand_edge.errors import ArtefactMismatchError
from aand_edge.graph_facts import GraphFacts, check_seal, read_holdout, seal
from tests.graphs import write_tiny_graph, write_tiny_model


def test_facts_are_read_without_onnx_as_onnx_reads_them(tmp_path: Path) -> None:
    facts = write_tiny_graph(tmp_path / "g.onnx", batch=3)
    assert GraphFacts.from_graph(tmp_path / "g.onnx") == facts
    stored = {each.key: each.value for each in onnx.load(tmp_path / "g.onnx").metadata_props}
    assert stored == facts.to_metadata()


def test_a_region_survives_the_metadata(tmp_path: Path) -> None:
    facts = GraphFacts("n", "resnet18", 256, (720, 1280), "RGB", "fp16", "f" * 64, 2, (280, 0, 720, 720))
    model = onnx.load(_graph(tmp_path))
    onnx.helper.set_model_props(model, facts.to_metadata())
    onnx.save_model(model, str(tmp_path / "h.onnx"))
    assert GraphFacts.from_graph(tmp_path / "h.onnx") == facts


def _graph(folder: Path) -> Path:
    write_tiny_graph(folder / "g.onnx")
    return folder / "g.onnx"


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 40, b"plain text that is no protobuf"])
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(ArtefactMismatchError, match=r"g\.onnx is no"):
        GraphFacts.from_graph(tmp_path / "g.onnx")


def test_a_torn_graph_is_refused_wherever_it_was_torn(tmp_path: Path) -> None:
    data = _graph(tmp_path).read_bytes()
    for length in range(0, len(data), 7):
        (tmp_path / "torn.onnx").write_bytes(data[:length])
        with pytest.raises(ArtefactMismatchError):
            GraphFacts.from_graph(tmp_path / "torn.onnx")


def test_another_onnx_file_is_no_fused_graph(tmp_path: Path) -> None:
    model = onnx.load(_graph(tmp_path))
    del model.metadata_props[:]
    onnx.save_model(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ArtefactMismatchError, match="not a fused AAND graph"):
        GraphFacts.from_graph(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"roi": (0, 0, 16, 16)}, "was written for region all of the frame, tiny has 0,0,16,16"),
        ({"colour": "RGB"}, "was written for channel order BGR, tiny has RGB"),
        ({"weights": "1" * 64}, "was written for weights 000000000000, tiny has 111111111111"),
        ({"frame": (48, 64)}, "was written for frames 32x32, tiny has 64x48"),
    ],
)
def test_the_held_out_set_of_another_export_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    graph, holdout = write_tiny_model(tmp_path)
    facts = GraphFacts.from_graph(graph)
    assert read_holdout(holdout, facts).colour == facts.colour
    with pytest.raises(ArtefactMismatchError, match=said):
        read_holdout(holdout, replace(facts, **changed))


def test_a_sealed_graph_is_told_from_a_damaged_one_wherever_a_byte_changed(tmp_path: Path) -> None:
    facts = write_tiny_graph(tmp_path / "g.onnx")
    assert check_seal(tmp_path / "g.onnx") is False  # it does not say
    bare = (tmp_path / "g.onnx").stat().st_size
    seal(tmp_path / "g.onnx")
    assert check_seal(tmp_path / "g.onnx") is True
    assert GraphFacts.from_graph(tmp_path / "g.onnx") == facts
    assert onnx.load(tmp_path / "g.onnx").metadata_props[-1].key == "aand.sha256"
    data = (tmp_path / "g.onnx").read_bytes()
    for place in (*range(0, bare, 7), len(data) - 1):
        (tmp_path / "flipped.onnx").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ArtefactMismatchError, match=r"flipped\.onnx is damaged.+Export the graph again"):
            check_seal(tmp_path / "flipped.onnx")


def test_a_graph_that_lost_its_seal_is_told_from_one_of_before_wherever_the_byte_changed(tmp_path: Path) -> None:
    graph, flipped = tmp_path / "g.onnx", tmp_path / "flipped.onnx"
    facts = replace(write_tiny_graph(graph), format=2)
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, facts.to_metadata())
    onnx.save_model(model, str(graph))
    with pytest.raises(ArtefactMismatchError, match="the SHA-256 that it was written with is not in it"):
        check_seal(graph)
    bare = graph.stat().st_size
    seal(graph)
    assert check_seal(graph) is True
    data = graph.read_bytes()
    for place in range(bare, len(data)):
        for bit in range(8):
            flipped.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            with pytest.raises(ArtefactMismatchError, match=r"flipped\.onnx is (damaged|no ONNX file)"):
                check_seal(flipped)
    flipped.write_bytes(data[:bare] + bytes(len(data) - bare))
    with pytest.raises(ArtefactMismatchError, match=r"flipped\.onnx is (damaged|no ONNX file)"):
        check_seal(flipped)


def test_a_sealed_graph_that_onnx_wrote_anew_unchanged_is_whole(tmp_path: Path) -> None:
    write_tiny_graph(tmp_path / "g.onnx")
    seal(tmp_path / "g.onnx")
    onnx.save_model(onnx.load(tmp_path / "g.onnx"), str(tmp_path / "h.onnx"))
    assert check_seal(tmp_path / "h.onnx") is True
