"""The training benchmark at a tiny setting: all time is named, and both recipes are trained and judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from aand_edge.data.layouts import read_category
from aand_edge.data.sample.write import write_sample_set
from aand_edge.model.backbones import build_teacher
from aand_edge.model.choices import find_backbone
from aand_edge.training.compute import Compute
from aand_edge.training.options import TrainingOptions
from aand_edge.training.recipe import Recipe
from benchmarks import training_accuracy, training_clock, training_speed
from benchmarks.authors_recipe import OneAtATime
from benchmarks.training_clock import Clock

SIZE = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category, and a teacher's weights in it."""
    folder = tmp_path_factory.mktemp("data")
    write_sample_set(folder / "flange", train=8, test_good=2, per_defect=1, size=SIZE, seed=0)
    torch.manual_seed(0)
    torch.save(build_teacher(find_backbone("resnet18")).state_dict(), folder / "teacher.pth")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, dtype: torch.dtype, *more: str) -> dict[str, Any]:
    """The script's JSON, where the machine computes in `dtype`."""
    line = f"training_speed --data {data}/flange --weights {data}/teacher.pth --device cpu --size {SIZE} --batch 2"
    arguments = [*f"{line} --steps 2 --turns 1 --workers 0 --out {out}/speed".split(), *more]
    monkeypatch.setattr(training_speed, "choose_compute", lambda device: Compute(torch.device(device), dtype))
    monkeypatch.setattr(sys, "argv", arguments)
    training_speed.main()
    found: dict[str, Any] = json.loads((out / "speed.json").read_text(encoding="utf-8"))
    return found


def test_all_time_is_named_and_both_are_judged(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("--accuracy", "--epochs-amplify", "1", "--epochs-distill", "1")
    result = run(monkeypatch, data, tmp_path, torch.bfloat16, *short)
    one, two = (result["shares"][stage] for stage in ("1", "2"))
    assert sum(one.values()) == pytest.approx(1)
    assert sum(two.values()) == pytest.approx(1)
    assert {"synthesis", "teacher", "RAA, forward and loss", "RAA, backward", "optimiser", "the rest"} == set(one)
    assert {"features from the cache", "bottleneck and student, forward", "loss", "optimiser"} < set(two)
    assert "teacher" not in two  # its features are kept
    assert set(result["accuracy"]["ours"]) == set(result["accuracy"]["authors"])
    assert result["accuracy"]["trained_on"] + result["accuracy"]["held_out"] == 8
    page = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert page.strip() in capsys.readouterr().out
    assert "| ours, all in float32 | the same |" in page
    assert "| | image AUROC | pixel AUROC | AUPRO |" in page
    assert all(part in page for part in (*one, *two))
    assert "torch " in page


def test_a_machine_that_computes_in_float32_has_no_row_for_it(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    result = run(monkeypatch, data, tmp_path, torch.float32)
    assert set(result["pictures_a_second"]) == {f"{who}, stage {n}" for who in ("ours", "authors") for n in (1, 2)}
    assert "accuracy" not in result


def test_a_part_inside_another_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 4.0, 9.0])
    monkeypatch.setattr(training_clock.time, "perf_counter", lambda: next(now))
    clock = Clock(torch.device("cpu"))
    clock.timed(lambda: None, "unheard")()
    clock.on = True
    with clock("outer"):
        clock.timed(lambda: None, "inner")()
    assert clock.seconds == {"outer": 1.0 + 5.0, "inner": 3.0}


def test_the_authors_recipe_is_the_same_training_for_the_same_seed(data: Path) -> None:
    category = read_category(data / "flange")
    recipe = Recipe(epochs_amplify=1, epochs_distill=1, batch=4)
    options = TrainingOptions("resnet18", SIZE, data / "teacher.pth", recipe=recipe, device="cpu")
    first, second = (training_accuracy.train_as_authors(category, options).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_authors_pictures_are_spoilt_one_at_a_time(data: Path) -> None:
    pictures = OneAtATime(list(read_category(data / "flange").train), SIZE, True)
    spoilt = [pictures[row % len(pictures)] for row in range(16)]
    assert any(mask.sum() > 4 for _, mask, _ in spoilt)
    assert all(picture.shape == (3, SIZE, SIZE) and mask.shape == (1, SIZE, SIZE) for picture, mask, _ in spoilt)
