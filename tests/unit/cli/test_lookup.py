"""A model is judged on pictures of its own category, and found under the name on its card."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aand_edge.artifacts import ModelCard
from aand_edge.cli.lookup import find_model, folder_of_model, trained_category, warn_of_older_weights
from aand_edge.config import Workspace
from aand_edge.engines.build import build_engine
from aand_edge.engines.onnxruntime import OnnxRuntime
from aand_edge.engines.registry import FACTORIES
from aand_edge.errors import ArtefactMismatchError
from tests.commands import Command
from tests.graphs import tiny_request
from tests.models import write_card, write_category


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two categories; the workspace file names the other one."""
    for name in ("bolt", "cap"):
        write_category(tmp_path / "pictures" / name)
    (tmp_path / "aand-edge.toml").write_text('[data]\nroot = "pictures"\ncategory = "cap"\n')
    return tmp_path / "pictures"


def test_what_a_model_was_trained_on_goes_before_the_workspace(root: Path) -> None:
    folder = write_card(root.parent / "models/bolt", "bolt", root / "bolt")
    assert trained_category(Workspace.open(root.parent), folder, None, None, None).root == root / "bolt"


def test_where_the_training_pictures_are_not_here_the_workspace_has_them(root: Path) -> None:
    folder = write_card(root.parent / "models/bolt", "bolt", root.parent / "elsewhere" / "bolt")
    assert trained_category(Workspace.open(root.parent), folder, None, None, None).root == root / "bolt"


def test_another_category_is_refused(root: Path) -> None:
    folder = write_card(root.parent / "models/bolt", "bolt", root.parent / "elsewhere" / "bolt")
    workspace = Workspace.open(root.parent)
    said = "bolt was trained on bolt, and is not judged on cap"
    with pytest.raises(ArtefactMismatchError, match=said):
        trained_category(workspace, folder, None, None, "cap")
    (root.parent / "aand-edge.toml").write_text('[data]\nroot = "pictures/cap"\n')
    with pytest.raises(ArtefactMismatchError, match=said):
        trained_category(Workspace.open(root.parent), folder, None, None, None)


def test_pictures_that_are_named_are_taken_under_any_name_and_another_is_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_card(root.parent / "models/bolt", "bolt", root / "bolt")
    labelled = write_category(root.parent / "labelled")
    workspace = Workspace.open(root.parent)
    assert trained_category(workspace, folder, root, None, None).root == root / "bolt"
    assert capsys.readouterr().err == ""
    assert trained_category(workspace, folder, labelled, None, None).root == labelled
    assert capsys.readouterr().err == "warning: bolt was trained on bolt; it is judged on labelled\n"


def test_a_folder_called_good_is_a_kind_and_no_category_of_the_pictures_that_are_named(tmp_path: Path) -> None:
    """`record --out good`, and labelled parts in `lab/good` and `lab/scratch`."""
    folder = write_card(tmp_path / "models/part", "part", tmp_path / "good")
    for kind in ("good", "scratch"):
        (tmp_path / "lab" / kind).mkdir(parents=True)
        for number in range(10):
            (tmp_path / f"lab/{kind}/{number}.png").write_text(f"{kind} {number}")
    found = trained_category(Workspace.open(tmp_path), folder, tmp_path / "lab", None, None)
    assert found.root == tmp_path / "lab"
    assert {sample.kind for sample in found.test} == {"good", "scratch"}


def test_an_engine_of_an_earlier_training_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    workspace = Workspace.open(tmp_path)
    card = write_card(workspace.models / manifest.model, manifest.model, tmp_path / "bolt") / "card.json"
    record = ModelCard.read(card)
    record.weights["sha256"] = manifest.weights
    record.write(card)
    warn_of_older_weights(workspace, [path])
    assert capsys.readouterr().err == ""
    record.weights["sha256"] = "f" * 64
    record.write(card)
    warn_of_older_weights(workspace, [path])
    assert "is of an earlier training of tiny; build it again" in " ".join(capsys.readouterr().err.split())
    (workspace.models / "tiny/card.json").write_text("{torn")
    warn_of_older_weights(workspace, [path])
    assert not capsys.readouterr().err, "an engine judges without its model"


def test_the_newest_model_is_the_one_last_trained_and_not_last_evaluated(root: Path) -> None:
    for time, name in enumerate(("first", "second")):
        weights = write_card(root.parent / "models" / name, name, root / "bolt") / "model.safetensors"
        weights.touch()
        os.utime(weights, (time, time))
    (root.parent / "models/first/card.json").touch()  # as `eval` does
    assert find_model(Workspace.open(root.parent), None).name == "second"


def test_a_model_is_found_by_its_card_whatever_its_folder_is_called(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_card(root.parent / "models/renamed", "bolt", root / "bolt")
    workspace = Workspace.open(root.parent)
    (write_card(root.parent / "models/damaged", "damaged", root) / "card.json").write_text("{")
    assert folder_of_model(workspace, "bolt") == folder
    assert find_model(workspace, "bolt") == folder
    monkeypatch.chdir(folder)
    assert find_model(workspace, ".") == folder


def test_a_copy_of_a_model_does_not_build_engines_under_its_name(
    command: Command, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_card(root.parent / "models/bolt", "bolt", root / "bolt")
    copy = write_card(root.parent / "models/m2", "bolt", root / "bolt")
    for words in (["build", "m2"], ["export", "models/m2"]):
        done = command(*words)
        assert done.code == 4
        assert f"{copy} holds the model bolt, as {folder} does" in done.err
    card = copy / "card.json"
    card.write_text(card.read_text().replace('"name": "bolt"', '"name": "m2"'))
    assert find_model(Workspace.open(root.parent), "m2") == copy
    assert find_model(Workspace.open(root.parent), "bolt") == folder


def test_a_wrong_name_is_answered_with_those_there_are(command: Command, root: Path) -> None:
    workspace = root.parent
    assert f"{workspace / 'models'} holds none: train one." in command("eval", "blot").err
    for name in ("bolt", "cap", "nut", "pin", "rod", "washer"):
        write_card(workspace / "models" / name, name, root / "bolt")
    done = command("eval", "blot")
    assert done.code == 2
    assert f"{workspace / 'models'} holds bolt, cap, nut, pin, rod and 1 more." in done.err
    build_engine(tiny_request(workspace))
    for words in (("threshold", "tiny.fp32"), ("bench", "tiny.fp32"), ("inspect", "tiny.fp32")):
        done = command(*words)
        assert done.code == 2
        assert f"{workspace / 'engines'} holds tiny.onnxruntime.fp32." in done.err


def test_an_engine_without_its_manifest_is_told_as_such(command: Command, root: Path) -> None:
    path, _ = build_engine(tiny_request(root.parent))
    path.unlink()
    for name in (path.stem, f"{path.stem}.onnx"):
        done = command("threshold", name)
        assert done.code == 4
        assert f"{path.name} is" in done.err


def test_an_engine_of_any_backend_is_missed_its_manifest(
    command: Command, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FACTORIES, "plain", type("Plain", (OnnxRuntime,), {"name": "plain", "suffix": ".plain"}))
    (root.parent / "engines").mkdir()
    (root.parent / "engines/part.plain").touch()
    assert "part.plain is there, but its manifest part.json is not" in command("threshold", "part").err


@pytest.mark.parametrize(
    "words", [["train"], ["eval"], ["eval", "bolt"], ["build"], ["bench"], ["run"], ["inspect", "bolt"], ["threshold"]]
)
def test_in_a_folder_that_is_no_workspace_the_next_step_is_to_leave_it(
    command: Command, tmp_path: Path, words: list[str]
) -> None:
    said = f"{tmp_path} has no aand-edge.toml: `cd` into your workspace, or start one with `aand-edge init`."
    done = command(*words)
    assert done.code == 2
    assert said in done.err
    (tmp_path / "aand-edge.toml").touch()
    assert said not in command(*words).err
