"""`train` reads options before settings before the preset, and refuses what cannot be before a picture is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aand_edge.training import train as training
from aand_edge.training.checkpoint import SNAPSHOT
from aand_edge.training.options import TrainingOptions
from aand_edge.training.recipe import PRESETS
from tests.commands import Command


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        picture = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TrainingOptions]:
    """What the command would train with; nothing is trained."""
    seen: list[TrainingOptions] = []

    def note(parts: object, folder: Path, options: TrainingOptions, watcher: object) -> Any:
        seen.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", note)
    return seen


def test_an_option_goes_before_a_setting_and_a_setting_before_the_preset(
    command: Command, pictures: Path, asked: list[TrainingOptions]
) -> None:
    (pictures / "t").mkdir()
    (pictures.parent / "aand-edge.toml").write_text(
        '[data]\nroot = "pictures"\n[model]\nbackbone = "resnet18"\nsize = 96\n'
        '[train]\npreset = "short"\nbatch = 8\nlr = 0.002\nseed = 7\namplify = false\n'
        "[threshold]\nfalse_rejects = 0.2\n"
    )
    command(
        "train",
        "--size",
        "64",
        "--batch",
        "2",
        "--schedule",
        "step",
        "--amplify",
        "--textures",
        "pictures/t",
        "--fresh",
    )
    (options,) = asked
    assert options == TrainingOptions(
        backbone="resnet18",
        size=64,
        amplify=True,
        recipe=replace(PRESETS["short"], batch=2, learning_rate=0.002, schedule="step"),
        seed=7,
        textures=pictures / "t",
        false_rejects=0.2,
        fresh=True,
    )


def test_nothing_given_is_the_paper(command: Command, pictures: Path, asked: list[TrainingOptions]) -> None:
    command("train", "--data", str(pictures))
    assert asked == [TrainingOptions()]


@pytest.mark.parametrize(
    ("arguments", "levels"),
    [
        ([], "standardised"),
        (["--preset", "paper"], "equal"),
        (["--no-amplify"], "equal"),
        (["--backbone", "resnet18"], "equal"),
        (["--levels", "equal"], "equal"),
    ],
)
def test_levels_follow_preset_and_backbone_unless_they_are_given(
    command: Command, pictures: Path, asked: list[TrainingOptions], arguments: list[str], levels: str
) -> None:
    short = ["--backbone", "efficientnet_lite0", "--preset", "short"]
    command("train", "--data", str(pictures), *short, *arguments)
    assert [options.levels for options in asked] == [levels]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--backbone", "resnet1"], "There is no backbone 'resnet1'"),
        (["--size", "100"], "multiple of 32"),
        (["--size", "1000000"], "from 64 to 2048"),
        (["--preset", "fast"], "There is no preset 'fast'"),
        (["--schedule", "linear"], "There is no schedule 'linear'. Choose step or cosine."),
        (["--levels", "fancy"], "Levels cannot be 'fancy'. Choose equal, scaled or standardised."),
        (["--batch", "1"], "A batch of 1 is too small"),
        (["--lr", "1e9"], "A learning rate of 1e+09 cannot learn. Take a number above 0, and 1 at most"),
        (["--holdout", "1.5"], "A hold-out share of 1.5"),
        (["--false-rejects", "0"], "A false-reject rate of 0.0"),
        (["--weights", "nowhere.pth"], "There is no weights file"),
        (["--textures", "nowhere"], "There is no texture folder"),
        (["--hard-patches", "-1"], "cannot be negative"),
        (["--device", "tpu"], "There is no device 'tpu'"),
    ],
)
@pytest.mark.parametrize("preview", [[], ["--preview", "sheet.png"]])
def test_what_cannot_be_trained_with_is_refused_before_a_picture_is_opened(
    command: Command,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    preview: list[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("a picture was opened"))
    done = command("train", "--data", str(pictures), *arguments, *preview)
    assert done.code == 2
    assert sentence in done.err
    assert not (pictures.parent / "sheet.png").exists()
    assert not (pictures.parent / "models").exists()


WITHOUT_PYTORCH = """
import sys
from aand_edge.cli import main
sys.argv = ["aand-edge", *sys.argv[1:]]
try:
    main()
finally:
    assert "torch" not in sys.modules, "PyTorch was loaded"
"""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train"], "No pictures were named"),
        (["train", "--data", "nowhere"], "There is no folder nowhere"),
        (["train", "--data", "pictures", "--category", "screw"], "There is no category 'screw'"),
        (["train", "--data", "pictures", "--backbone", "resnet1"], "There is no backbone 'resnet1'"),
        (["train", "--data", "pictures", "--size", "100"], "multiple of 32"),
        (["train", "--data", "pictures", "--lr", "0"], "cannot learn"),
        (["train", "--data", "pictures", "--device", "tpu"], "There is no device 'tpu'"),
        (["train", "--data", "pictures", "--name", "a/b"], "'a/b' cannot name a model"),
        (["train", "--data", "pictures", "--preview", "sheet.jpg"], "sheet.jpg is no PNG"),
        (["eval"], "holds no trained model"),
        (["export"], "holds no trained model"),
        (["export", "--frame", "720p"], "'720p' is no frame size"),
    ],
)
def test_a_wrong_option_is_told_before_pytorch_is_loaded(pictures: Path, arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYTORCH, *arguments], cwd=pictures.parent, capture_output=True, text=True
    )
    assert sentence in done.stderr
    assert done.returncode == 2, done.stderr


NOTHING_SAVED = "nothing of this training is saved yet: the same command starts from the beginning"


@pytest.mark.parametrize(
    ("before", "saved", "fresh", "said"),
    [
        (False, False, [], NOTHING_SAVED),
        (False, True, [], "the same command goes on from the last snapshot"),
        (True, False, [], "the same command goes on from the last snapshot"),
        (True, False, ["--fresh"], NOTHING_SAVED),
        (True, True, ["--fresh"], "the same command, without --fresh, goes on from the last snapshot"),
    ],
)
def test_ctrl_c_ends_in_130_and_says_what_is_saved(
    command: Command,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,
    saved: bool,
    fresh: list[str],
    said: str,
) -> None:
    """before: a snapshot of an earlier training lies there; saved: this one wrote one."""
    snapshot = pictures.parent / "models/m" / SNAPSHOT
    snapshot.parent.mkdir(parents=True)
    if before:
        snapshot.touch()
        os.utime(snapshot, (1, 1))

    def interrupted(*_: object) -> Any:
        if saved:
            snapshot.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    done = command("train", "--data", str(pictures), "--name", "m", *fresh)
    assert done.code == 130
    assert done.err.strip().splitlines()[-2:] == [
        said,
        "interrupted: what was written is whole",
    ]
    assert done.out == ""


@pytest.mark.parametrize("name", ["", ".", "..", "../m", "a/b", ".m"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(
    command: Command, pictures: Path, asked: list[TrainingOptions], name: str
) -> None:
    done = command("train", "--data", str(pictures), "--name", name)
    assert done.code == 2
    assert f"'{name}' cannot name a model" in done.err
    assert not asked
