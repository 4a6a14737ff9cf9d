"""What a person sees holds no Python: sizes as the options take them, yes and no, a dash for nothing."""

from __future__ import annotations

import sys

import pytest
from rich.console import Group
from rich.table import Table

from aand_edge.cli.show import TrainingBars, answer, facts, rows_of, staging, ticking


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("frame", (480, 640), "640x480"),
        ("frame", [480, 640], "640x480"),
        ("roi", (40, 0, 240, 200), "40,0,240,200"),
        ("roi", None, "–"),
        ("amplify", True, "yes"),
        ("locked", False, "no"),
        ("note", "", "–"),
        ("quantised", (), "none"),
        ("quantised", ("bottleneck", "student3"), "bottleneck, student3"),
        ("scores", [0.1, 0.2, 0.3, 0.4, 0.5], "5 values"),
        ("mixtures", ({"drop": 1},), "1 value"),
        ("batch", 1, "1"),
    ],
)
def test_a_value_reads_as_a_person_writes_it(key: str, value: object, shown: str) -> None:
    assert rows_of({key: value}) == [(key, shown)]


def test_nested_values_have_dotted_names() -> None:
    assert rows_of({"data": {"counts": {"train": 3}, "root": None}}) == [("data.counts.train", "3"), ("data.root", "–")]


@pytest.mark.parametrize("name", ["line [/x] 1", "[bold]part", "a:smile:b"])
def test_a_name_is_shown_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer({}, False, facts(name, [("file", name)]))
    answer({}, False, f"Wrote {name}")
    shown = capsys.readouterr().out
    assert shown.count(name) == 3


def test_a_long_line_can_be_copied_whole(capsys: pytest.CaptureFixture[str]) -> None:
    answer({}, False, "cd " + "folder/" * 40)
    assert capsys.readouterr().out.count("\n") == 1


LONG = "/srv/aand-edge/" + "folder/" * 60 + "part.onnx"
PROSE = "one word and another " * 20


def test_a_log_gets_tables_as_wide_as_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("engine", "note", title="Speed")
    table.add_row(LONG, PROSE.strip())
    table.add_row("short", "none")
    answer({}, False, Group(table, facts("part", [("graph", LONG), ("note", PROSE), ("size", 256)])))
    lines = capsys.readouterr().out.splitlines()
    assert sum(LONG in line for line in lines) == 2
    assert sum(PROSE.strip() in line for line in lines) == 2
    assert "…" not in "".join(lines)
    assert lines[-1] == "size   256", "without the spaces that fill it up to the longest row"


def test_a_title_is_not_folded_at_the_width_of_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    answer({}, False, facts("sample-efficientnet_lite0.openvino.fp16", [("judged", 3)]))
    assert capsys.readouterr().out.splitlines() == ["sample-efficientnet_lite0.openvino.fp16", "judged  3"]


def test_a_narrow_terminal_gets_a_long_title_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # 80 columns, and no italics
    answer({}, False, facts(LONG, [("size", 256)]))
    assert LONG in "".join(capsys.readouterr().out.split())


def test_a_narrow_terminal_gets_a_long_path_a_long_path_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    answer({}, False, facts("part", [("graph", LONG)]))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert max(map(len, lines)) <= 80
    assert LONG in "".join(line[7:].strip() for line in lines)


def test_a_log_gets_a_line_a_stage_and_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with ticking("pictures") as tick:
        for done in range(1, 4):
            tick(done, 3)
    with staging() as step:
        for done in range(3):
            step("memory", done, 2)
            step("latency", done, 4)
    assert capsys.readouterr().err.splitlines() == ["pictures: 3 of 3", "memory: 2 of 2"]


def test_a_log_of_a_training_has_a_whole_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    losses = dict.fromkeys(("similarity", "discrepancy", "contrast", "reconstruction"), 0.25)
    with TrainingBars() as bars:
        for epoch in range(2):
            for batch in range(5):
                bars.batch_done("amplify", epoch, 2, batch + 1, 5)
            bars.epoch_done("amplify", epoch + 1, 2, losses)
    said = "similarity 0.2500  discrepancy 0.2500  contrast 0.2500  reconstruction 0.2500"
    assert capsys.readouterr().err.splitlines() == [f"1 amplify  epoch {epoch}/2  {said}" for epoch in (1, 2)]
