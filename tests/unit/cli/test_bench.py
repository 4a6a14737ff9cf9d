"""`bench` refuses what leaves open which pictures or which model to take, before anything is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aand_edge.engines.build import build_engine
from tests.commands import Command
from tests.graphs import tiny_request
from tests.models import write_card, write_category


@pytest.fixture
def models(tmp_path: Path) -> None:
    """A workspace with engines of two models."""
    path, manifest = build_engine(tiny_request(tmp_path))
    other = {**manifest.model_dump(mode="json"), "name": "other.onnxruntime.fp32", "model": "other"}
    path.with_name("other.onnxruntime.fp32.json").write_text(json.dumps(other))


@pytest.mark.usefixtures("models")
def test_engines_of_several_models_need_their_pictures_named(command: Command) -> None:
    done = command("bench")
    assert done.code == 2
    assert "The engines are of several models: other, tiny. Name the test pictures with --data." in done.err


@pytest.mark.usefixtures("models")
def test_one_yardstick_is_for_one_model(command: Command, tmp_path: Path) -> None:
    done = command("bench", "--eager", "--data", str(tmp_path))
    assert done.code == 2
    assert "--eager is for engines of one model, these are of other, tiny" in done.err


def test_engines_of_models_of_two_categories_are_not_judged_on_one(command: Command, tmp_path: Path) -> None:
    for name in ("tiny", "other"):
        parts = write_category(tmp_path / "pictures" / name)
        write_card(tmp_path / "models" / name, name, parts)
    path, manifest = build_engine(tiny_request(tmp_path))
    other = {**manifest.model_dump(mode="json"), "name": "other.onnxruntime.fp32", "model": "other"}
    path.with_name("other.onnxruntime.fp32.json").write_text(json.dumps(other))
    done = command("bench", "--data", "pictures", "--out", "report")
    assert done.code == 2
    assert "of models of several categories: other, tiny" in done.err
    assert "report:" not in done.err


def test_a_workspace_without_engines_says_how_to_build_one(command: Command) -> None:
    done = command("bench")
    assert done.code == 2
    assert "holds no engine. Build one with `aand-edge build`." in done.err
