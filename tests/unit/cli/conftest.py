"""Commands in this process, as the program runs them: an exit code, stdout and stderr."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aand_edge.cli import main
from tests.commands import Command, Done


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `aand-edge …` in an empty folder; a traceback is a failure."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["aand-edge", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        assert "unexpected" not in printed.err
        return Done(int(end.value.code or 0), printed.out, printed.err)

    return run
