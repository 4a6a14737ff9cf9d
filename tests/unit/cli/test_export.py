"""`export` refuses what cannot be before it exports anything."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aand_edge.graph_facts import GraphFacts
from tests.commands import Command
from tests.graphs import write_tiny_model
from tests.models import write_card

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weight-bits", "4"], "Weights of 4 bits cannot be had. Take --weight-bits 7 or 8."),
        (["--quantise", "teacher9"], "There is no region 'teacher9' to quantise"),
    ],
)
def test_what_int8_cannot_be_is_refused_before_two_graphs_are_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    write_card(tmp_path / "models/bolt", "bolt", tmp_path)
    monkeypatch.setattr("aand_edge.export.export.export_model", lambda *_: pytest.fail("a graph was exported"))
    done = command("export", "--precision", "int8", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_frame_of_another_shape_than_the_pictures_is_said_once(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An int8 graph takes two exports."""
    from aand_edge.export.export import Exported
    from aand_edge.export.parity import Parity

    graph, holdout = write_tiny_model(tmp_path / "models/tiny")
    write_card(tmp_path / "models/card", "tiny", tmp_path)
    shutil.move(tmp_path / "models/card/card.json", tmp_path / "models/tiny/card.json")
    facts = replace(GraphFacts.from_graph(graph), frame=(1080, 1920))
    exported = Exported(graph, holdout, facts, Parity(1, 0, 0, 0, 0, 1), stretched=(900, 900))
    monkeypatch.setattr("aand_edge.export.export.export_model", lambda *_: exported)
    monkeypatch.setattr("aand_edge.cli.graphs.quantised_graph", lambda *_: graph)
    for precision in ("fp32", "int8"):
        done = command("export", "tiny", "--precision", precision, "--frame", "1920x1080", "--json")
        assert done.code == 0, done.err
        assert done.err.count("pictures of 900x900, and a frame of 1920x1080 is of another shape") == 1
        assert json.loads(done.out)["stretched"] == [900, 900]
