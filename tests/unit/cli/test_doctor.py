"""`doctor` says first what is wrong, in sentences, and ends in the exit code that training would."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands import Command


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Nine good pictures, of which one is torn, and no test split."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        picture = np.random.default_rng(number).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "8.png").write_bytes(b"torn")
    return folder


def test_problems_come_first_and_then_warnings(command: Command, pictures: Path) -> None:
    done = command("doctor", "--data", str(pictures))
    assert done.code == 1
    lines = [line.split("  ")[0] for line in done.out.splitlines() if line[:1].strip()]
    assert lines[1:3] == ["problem", "warning"]
    assert lines.index("warning") < lines.index("cpu")
    assert "8.png is no picture" in done.out
    assert "Mend the data and try again" in done.err


def test_no_python_is_shown(command: Command, pictures: Path) -> None:
    (pictures / "8.png").unlink()
    done = command("doctor", "--data", str(pictures))
    assert done.code == 0
    assert re.search(r"^train pictures +8 good *$", done.out, re.MULTILINE)
    assert re.search(r"^test pictures +none *$", done.out, re.MULTILINE)
    assert re.search(r"^sizes +8 of 48x32 *$", done.out, re.MULTILINE)
    assert not re.search(r"None|True|False|\(\)|\{", done.out)


def test_without_pictures_the_machine_is_described(command: Command) -> None:
    reply = json.loads(command("doctor", "--json").out)
    assert set(reply) == {"device", "machine", "backends"}


def test_a_machine_whose_package_does_not_load_is_described(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openvino.py").write_text('raise ImportError("libopenvino.so: cannot open shared object file")')
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    done = command("doctor", "--json")
    assert done.code == 0, done.err
    assert "does not load (libopenvino.so" in json.loads(done.out)["backends"]["openvino"]


def test_a_machine_without_the_workspaces_pictures_is_described_all_the_same(command: Command, tmp_path: Path) -> None:
    (tmp_path / "aand-edge.toml").write_text('[data]\nroot = "on-the-pc"\n')
    done = command("doctor", "--json")
    assert done.code == 2
    assert "There is no folder" in done.err
    assert "onnxruntime" in json.loads(done.out)["backends"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--data", "absent"], 2, "There is no folder absent"),
        (["--data", "pictures/0.png"], 2, "pictures/0.png is a file, and no folder. Give --data the folder"),
        (["--data", "empty"], 2, "holds no pictures in a layout that is known"),
        (["--data", "pictures", "--layout", "mvtec"], 2, "holds no training pictures in the mvtec layout"),
        (["--data", "pictures", "--layout", "coco"], 2, "There is no layout 'coco'"),
        (["--data", "pictures", "--category", "nut"], 2, "There is no category 'nut'"),
        (["--data", "pictures"], 1, "8.png is no picture"),
    ],
)
def test_a_wrong_path_is_2_and_a_picture_that_cannot_be_used_is_1(
    command: Command, pictures: Path, arguments: list[str], code: int, sentence: str
) -> None:
    (pictures.parent / "empty").mkdir()
    done = command("doctor", *arguments)
    assert done.code == code
    assert sentence in done.err
