"""The workspace file: its defaults, its template, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aand_edge.config import FILE, Settings, Workspace, write_template
from aand_edge.errors import UsageError


def test_a_folder_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    assert workspace.settings == Settings()
    assert workspace.models == tmp_path / "models"


def test_the_template_says_the_defaults(tmp_path: Path) -> None:
    path = write_template(tmp_path)
    assert Workspace.open(tmp_path).settings == Settings()
    text = path.read_text(encoding="utf-8")
    uncommented = "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines()[1:])
    path.write_text(uncommented, encoding="utf-8")
    stated = Workspace.open(tmp_path).settings
    assert stated.model.size == 256
    assert stated.train.model_dump(exclude={"epochs_amplify", "epochs_distill", "batch", "lr", "textures"}) == (
        Settings().train.model_dump(exclude={"epochs_amplify", "epochs_distill", "batch", "lr", "textures"})
    )
    assert (stated.train.epochs_amplify, stated.train.epochs_distill, stated.train.batch) == (100, 120, 16)
    assert stated.build.model_dump(exclude={"quantise"}) == Settings().build.model_dump(exclude={"quantise"})
    assert stated.calibrate == Settings().calibrate
    assert stated.threshold == Settings().threshold


def test_what_init_is_given_stands_in_the_file(tmp_path: Path) -> None:
    write_template(tmp_path, Path("pictures"), "resnet18", "short")
    settings = Workspace.open(tmp_path).settings
    assert (settings.data.root, settings.model.backbone, settings.train.preset) == (
        Path("pictures"),
        "resnet18",
        "short",
    )
    assert Workspace.open(tmp_path).resolve(Path("pictures")) == tmp_path / "pictures"


def test_any_folder_name_can_be_written(tmp_path: Path) -> None:
    write_template(tmp_path, Path('4" discs {new}'))
    assert Workspace.open(tmp_path).settings.data.root == Path('4" discs {new}')


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("# mine\n")
    with pytest.raises(UsageError, match="exists already"):
        write_template(tmp_path)
    assert (tmp_path / FILE).read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[modle]\n", "modle"),
        ("[model]\nsize = 'big'\n", r"model\.size"),
        ("[threshold]\nfalse_rejects = 2.0\n", r"threshold\.false_rejects"),
        ("[build]\nprecision = 'fp8'\n", r"build\.precision"),
        ("[build\n", "no TOML file"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError, match=place):
        Workspace.open(tmp_path)
