"""`init` looks at everything before it writes anything, and says what comes next."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from aand_edge.config import Workspace
from tests.commands import Command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nowhere"], "There is no folder nowhere"),
        (["--data", __file__], "test_init.py is a file, and no folder. Give --data the folder"),
        (["--backbone", "resnet19"], "There is no backbone 'resnet19'. Choose one of: wide_resnet50_2, "),
        (["--preset", "fast"], "There is no preset 'fast'. Choose one of: paper, short."),
        (["--sample", "--preset", "fast"], "There is no preset 'fast'"),
        (["--sample", "--data", "."], "--sample renders its own pictures"),
        (["--sample", "--seed", "-1"], "--seed"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    command: Command, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    done = command("init", "line1", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["line1", "line1/deeper"])
def test_a_file_is_no_workspace(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "line1").write_text("mine")
    done = command("init", name)
    assert done.code == 2
    assert "line1 is a file, and no folder" in done.err
    assert (tmp_path / "line1").read_text() == "mine"


def test_pictures_that_lie_where_the_sample_set_goes_are_kept(command: Command, tmp_path: Path) -> None:
    mine = tmp_path / "data/sample/mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    done = command("init", "--sample")
    assert done.code == 2
    assert "is there already and not empty" in done.err
    assert not (tmp_path / "aand-edge.toml").exists()
    assert mine.read_bytes() == b"mine"


def test_a_workspace_that_is_there_is_named_before_its_pictures(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data/sample").mkdir(parents=True)
    (tmp_path / "data/sample/0.png").touch()
    (tmp_path / "aand-edge.toml").write_text("# mine\n")
    done = command("init", "--sample")
    assert done.code == 2
    assert "aand-edge.toml exists already" in done.err
    assert (tmp_path / "aand-edge.toml").read_text() == "# mine\n"


@pytest.mark.parametrize("name", ["line1", "line [/x] 1 – Prüfung"])
def test_the_next_commands_can_be_copied(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "pictures").mkdir()
    done = command("init", name, "--data", "pictures")
    assert done.code == 0
    first, *rest = done.out.splitlines()
    assert first == f"Wrote {name}/aand-edge.toml"
    assert [shlex.split(line) for line in rest[1:]] == [["cd", name], ["aand-edge", "doctor"], ["aand-edge", "train"]]
    assert Workspace.open(tmp_path / name).settings.data.root == tmp_path / "pictures"


def test_without_pictures_the_first_step_is_to_name_them(command: Command) -> None:
    lines = command("init").out.splitlines()
    assert lines[2:] == ["  # set root under [data] in aand-edge.toml", "  aand-edge doctor", "  aand-edge train"]
