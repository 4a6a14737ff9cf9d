"""What a person sees holds no Python: sizes as the options take them, yes and no, a dash for nothing."""

from __future__ import annotations

import pytest

from aand_edge.cli.show import answer, facts, rows_of


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
