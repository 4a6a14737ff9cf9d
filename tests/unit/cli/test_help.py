"""`--help` fits a terminal of 80 columns."""

from __future__ import annotations

import pytest

from tests.commands import Command


def test_no_commands_summary_is_cut(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = command("--help")
    assert done.code == 0
    summaries = done.out.partition("Commands:")[2]
    assert "  inspect " in summaries
    assert "..." not in summaries
