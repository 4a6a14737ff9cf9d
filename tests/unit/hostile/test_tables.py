"""Calibration tables of strangers: used where they hold for the graph, or made anew; with --locked exit code 4."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given

from aand_edge.errors import ArtefactMismatchError
from aand_edge.export import calibrate as module
from aand_edge.export.calibrate import CalibrationOptions, CalibrationTable, TensorRange, latest_options, table_path
from tests.graphs import write_tiny_model
from tests.hostile import bounded, retyped, spoilt, taken_or_refused

GRAPH, HOLDOUT = "tiny.fp32.onnx", "tiny.holdout.npz"
OPTIONS = CalibrationOptions(images=2)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a small graph, with a made-up range: nothing in it can be quantised."""
    made = {"stem": TensorRange(range=1.0, largest=2.0)}
    monkeypatch.setattr(module, "read_ranges", lambda *_: made)
    write_tiny_model(tmp_path)
    path = table_path(tmp_path, tmp_path / GRAPH, OPTIONS)
    module.calibrate(tmp_path / GRAPH, tmp_path / HOLDOUT, path, OPTIONS)
    return path


def served(path: Path) -> CalibrationTable | None:
    graph, holdout = path.parent / GRAPH, path.parent / HOLDOUT
    latest_options(path.parent, graph)
    return taken_or_refused(lambda: module.calibrate(graph, holdout, path, OPTIONS, locked=True), 4)


def test_a_retyped_table_serves_or_is_refused(table: Path) -> None:
    whole = json.loads(table.read_text())
    assert served(table) is not None

    @bounded(150)
    @given(retyped(whole))
    def retype(text: str) -> None:
        table.write_text(text, encoding="utf-8")
        found = served(table)
        if found is not None:
            assert found.options() == OPTIONS
            assert found.held_out == 2
            assert all(math.isfinite(value) and value >= 0 for value in found.ranges().values())

    retype()


def test_a_spoilt_table_serves_or_is_refused(table: Path) -> None:
    @bounded(60)
    @given(spoilt(table.read_bytes()))
    def spoil(data: bytes) -> None:
        table.write_bytes(data)
        served(table)

    spoil()


def test_a_graph_without_anything_to_quantise_is_refused(tmp_path: Path) -> None:
    graph, holdout = write_tiny_model(tmp_path)
    with pytest.raises(ArtefactMismatchError, match=r"tiny\.fp32\.onnx has no tensor that can be quantised"):
        module.calibrate(graph, holdout, tmp_path / "table.json", OPTIONS)
