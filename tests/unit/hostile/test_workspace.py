"""Workspace files of strangers: settings, or a sentence with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aand_edge.config import Settings, Workspace
from aand_edge.config.template import TEMPLATE
from tests.hostile import bounded, spoilt, taken_or_refused

LINES = [line.lstrip("# ") for line in TEMPLATE.splitlines() if " = " in line or line.lstrip("# ").startswith("[")]
KEYS = sorted({line.split(" = ")[0] for line in LINES if " = " in line})
TABLES = sorted({line.split("#")[0].strip() for line in LINES if line.startswith("[")})
VALUES = st.one_of(
    st.sampled_from(
        [
            *("true", "-1", "0", "1e400", "nan", "-inf", '""', '"x"', "[]", "[1, 2]", "[[1]]", "{}", "{a = 1}"),
            *("1979-05-27", "07:32:00", '"\\u0000"', "= =", "", "0x", "1" * 5000, "9" * 30, '"../../etc"'),
            *("[" * 5000, "{a=" * 5000, "'''", '"""', '"\\ud800"', "[{source = 1}]", '[{source = "a", roi = [1]}]'),
        ]
    ),
    st.text(max_size=10),
    st.integers().map(str),
    st.floats().map(str),
)
STATEMENTS = st.one_of(
    st.tuples(st.sampled_from(KEYS), VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.sampled_from(TABLES),
    st.sampled_from(LINES),
    st.sampled_from(
        ["[[run]]", "[run.cameras]", "[[run.cameras]]", "[run.cameras.x]", "[data.root]", "[x]", '"a\\nb" = 1']
    ),
)


def read(folder: Path) -> None:
    workspace = taken_or_refused(lambda: Workspace.open(folder), 2)
    assert workspace is None or isinstance(workspace.settings, Settings)


def test_any_statements_are_settings_or_are_refused(tmp_path: Path) -> None:
    @bounded(300)
    @given(st.lists(STATEMENTS, max_size=8))
    def state(lines: list[str]) -> None:
        (tmp_path / "aand-edge.toml").write_text("\n".join(lines), encoding="utf-8", errors="replace")
        read(tmp_path)

    state()


def test_a_spoilt_template_is_settings_or_is_refused(tmp_path: Path) -> None:
    whole = "\n".join(line.removeprefix("# ") for line in TEMPLATE.splitlines() if not line.startswith("#:"))

    @bounded(120)
    @given(spoilt(whole.encode(), header=len(whole)))
    def spoil(data: bytes) -> None:
        (tmp_path / "aand-edge.toml").write_bytes(data)
        read(tmp_path)

    spoil()


@pytest.mark.parametrize("value", ["[" * 100_000, "{a=" * 100_000, "1" * 5000, "a." * 20_000])
def test_what_the_parser_gives_up_on_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "aand-edge.toml").write_text(f"[model]\nsize = {value}", encoding="utf-8")
    assert taken_or_refused(lambda: Workspace.open(tmp_path), 2) is None
