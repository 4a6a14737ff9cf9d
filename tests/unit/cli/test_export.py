"""`export` refuses what cannot be before it exports anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from aand_edge.artifacts import Precision
from aand_edge.graph_facts import GraphFacts
from tests.commands import Command
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


def test_a_frame_of_another_shape_than_the_pictures_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aand_edge.cli.graphs import write_graph_of
    from aand_edge.export.export import Exported, ExportOptions
    from aand_edge.export.parity import Parity

    facts = GraphFacts("bolt", "resnet18", 256, (1080, 1920), "BGR", "fp32", "0" * 64)
    exported = Exported(tmp_path, tmp_path, facts, Parity(1, 0, 0, 0, 0, 1), stretched=(900, 900))
    monkeypatch.setattr("aand_edge.export.export.export_model", lambda *_: exported)
    precisions: tuple[Precision, ...] = "fp32", "fp16"
    for precision in precisions:
        write_graph_of(tmp_path, ExportOptions(precision, (1920, 1080)))
    said = capsys.readouterr().err
    assert said.count("trained on pictures of 900x900, and a frame of 1920x1080 is of another shape") == 1
