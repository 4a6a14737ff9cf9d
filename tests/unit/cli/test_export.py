"""`export` refuses what cannot be before it exports anything."""

from __future__ import annotations

from pathlib import Path

import pytest

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
