"""The accuracy benchmark: its plan, its records, its ablations, and a page like the paper's."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from aand_edge.data.layouts import read_category
from aand_edge.data.sample.write import write_sample_set
from aand_edge.errors import UsageError
from aand_edge.model.amplification import Amplifier
from aand_edge.model.backbones import build_teacher
from aand_edge.model.choices import find_backbone
from aand_edge.training.compute import Compute
from aand_edge.training.pictures import load_pictures
from aand_edge.training.recipe import Recipe
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import plan
from benchmarks.accuracy.methods import METHODS, advancing
from benchmarks.accuracy.neighbours import anomaly_maps, bank, nearest
from benchmarks.accuracy.plan import Run, execute, fewer, record, recorded
from benchmarks.accuracy.report import page

BACKBONE, SIZE = "efficientnet_lite0", 64


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories, and a teacher's weights beside them."""
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("flange", "ring")):
        write_sample_set(folder / name, train=12, test_good=2, per_defect=1, size=SIZE, seed=seed)
    torch.manual_seed(0)
    torch.save(build_teacher(find_backbone(BACKBONE)).state_dict(), folder / "teacher.pth")
    return folder


@pytest.fixture
def run(root: Path) -> Run:
    """One short run of AAND on the first category."""
    recipe = Recipe(epochs_amplify=1, epochs_distill=1, batch=4, schedule="cosine").to_dict()
    weights = str(root / "teacher.pth")
    return Run(str(root), "auto", "flange", BACKBONE, weights, SIZE, recipe, "aand", 0, None, "cpu", 1)


@pytest.fixture
def arguments(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A benchmark that takes seconds, one run after the other."""
    monkeypatch.setattr(accuracy, "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    line = f"--data {root} --weights {root}/teacher.pth --backbone {BACKBONE} --size {SIZE} --preset short --batch 6"
    line += f" --epochs-amplify 1 --epochs-distill 1 --device cpu --threads 1 --work {tmp_path}/work --in-sequence"
    return line.split()


def test_all_categories_methods_and_seeds_are_run_and_none_twice(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*arguments, "--name", "two", "--methods", "rd,neighbour"]
    assert accuracy.main([*asked, "--seeds", "0"]) == 0
    assert accuracy.main([*asked, "--seeds", "0,1"]) == 0
    assert "8 runs, 4 of them recorded" in capsys.readouterr().out
    monkeypatch.setattr(accuracy, "execute", lambda run, work: pytest.fail(f"{run.name} was run again"))
    assert accuracy.main([*asked, "--seeds", "0,1"]) == 0
    rows = json.loads((tmp_path / "results/accuracy-two.json").read_text())["rows"]
    assert {(row["shown"], row["method"], row["seed"]) for row in rows} == {
        (category, method, seed) for category in ("flange", "ring") for method in ("rd", "neighbour") for seed in (0, 1)
    }
    assert all(row["trained_on"] == 9 and row["held_out"] == 3 for row in rows)
    assert all(Path(row["data"]).name == row["data"] for row in rows), "somebody's folders are published"
    assert not list((tmp_path / "work/models").iterdir())
    text = (tmp_path / "results/accuracy-two.md").read_text()
    assert "| | reverse distillation | nearest neighbour |" in text
    assert "| **mean of 2 categories** |" in text


def test_a_run_that_fails_is_told_of_and_tried_again(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*arguments, "--methods", "neighbour", "--seeds", "0", "--name", "few", "--train-images", "8,500"]
    assert accuracy.main(asked) == 1
    assert "flange has 12 training pictures, not 500. Ask for fewer." in capsys.readouterr().out
    assert "## Failed" in (tmp_path / "results/accuracy-few.md").read_text()
    assert accuracy.main(asked) == 1
    assert "4 runs, 2 of them recorded" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["gate", "residual"])
def test_an_ablation_trains_and_leaves_the_amplifier_as_it_was(run: Run, tmp_path: Path, method: str) -> None:
    forward = Amplifier.forward
    row = execute(replace(run, method=method), tmp_path)
    assert "failed" not in row
    assert set(row["seconds"]) == {"amplify", "distill"}
    assert row["epochs"] == {"amplify": 1, "distill": 1}
    assert Amplifier.forward is forward


def test_ablations_advance_features_as_they_say() -> None:
    torch.manual_seed(0)
    amplifier, features = Amplifier(8, 4, 4), torch.randn(2, 8, 4, 4)
    gate, residual = amplifier.gate(features), amplifier.residual(features)
    with advancing(METHODS["gate"]):
        torch.testing.assert_close(amplifier(features), (1 + gate) * features)
    with advancing(METHODS["residual"]):
        torch.testing.assert_close(amplifier(features), features + residual)
    with pytest.raises(KeyError), advancing(METHODS["gate"]):
        raise KeyError
    torch.testing.assert_close(amplifier(features), features + gate * residual)


def test_a_remembered_picture_has_no_anomaly_and_a_changed_patch_has(root: Path) -> None:
    backbone, compute = find_backbone(BACKBONE), Compute(torch.device("cpu"), torch.float32)
    torch.manual_seed(0)
    teacher = build_teacher(backbone)
    samples = read_category(root / "flange").train[:3]
    known = bank(teacher, samples, SIZE, compute)
    assert known.shape == (3 * (SIZE // 8) ** 2, 40 + 112)
    picture = load_pictures(samples[:1], SIZE)
    changed = picture.clone()
    changed[:, :, 8:24, 40:56] = 255
    same, other = anomaly_maps(teacher, known, torch.cat((picture, changed)), compute)
    assert same.max() < 0.02 * other.max()
    top = int(other.argmax())
    assert 0 <= top // SIZE < 32
    assert 32 <= top % SIZE < 64


def test_the_nearest_of_all_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, known = (torch.randn(count, 5, generator=generator) for count in (700, 40))  # more than are taken at once
    torch.testing.assert_close(nearest(queries, known), torch.cdist(queries, known).amin(dim=1), atol=1e-3, rtol=0)


def test_a_smaller_draw_of_pictures_is_part_of_a_larger_one(root: Path) -> None:
    category = read_category(root / "ring")
    few, more = fewer(category, 8, seed=3), fewer(category, 10, seed=3)
    assert len(few.train) == 8
    assert set(few.train) < set(more.train) < set(category.train)
    assert few.test == category.test
    assert set(fewer(category, 8, seed=4).train) != set(few.train)
    with pytest.raises(UsageError, match="ring has 12 training pictures, not 13"):
        fewer(category, 13, seed=3)


def test_another_recipe_is_another_run_and_another_machine_is_not(run: Run, tmp_path: Path) -> None:
    record(run, tmp_path, {"image_auroc": 1.0})
    assert recorded(replace(run, threads=8, device="cuda"), tmp_path) == {"image_auroc": 1.0}
    assert recorded(replace(run, recipe={**run.recipe, "batch": 8}), tmp_path) is None
    record(replace(run, seed=1), tmp_path, {"failed": "no"})
    assert recorded(replace(run, seed=1), tmp_path) is None


def test_a_record_is_found_after_everything_moved_and_not_for_other_pictures_or_weights(
    run: Run, root: Path, tmp_path: Path
) -> None:
    record(run, tmp_path, {"image_auroc": 1.0})
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    there = replace(run, data=str(moved), weights=str(moved / "teacher.pth"))
    assert recorded(there, tmp_path) == {"image_auroc": 1.0}
    assert recorded(replace(there, data=str(moved / "flange"), category=None), tmp_path) == {"image_auroc": 1.0}
    assert recorded(replace(there, category="ring"), tmp_path) is None
    (moved / "other.pth").write_bytes((moved / "teacher.pth").read_bytes() + b"\0")
    assert recorded(replace(there, weights=str(moved / "other.pth")), tmp_path) is None
    assert recorded(replace(there, weights=None), tmp_path) is None
    again = tmp_path / "again"
    shutil.copytree(root, again)
    (again / "flange/train/good/000.png").unlink()
    assert recorded(replace(run, data=str(again)), tmp_path) is None


def test_a_record_of_before_is_found_by_the_name_it_had(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / f"runs/{run.former_name}.json").write_text('{"image_auroc": 0.5}')
    assert run.former_name != run.name
    assert recorded(run, tmp_path) == {"image_auroc": 0.5}


def test_a_run_that_ends_unexpectedly_is_a_row_that_says_why_and_the_others_go_on(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(plan, "_trained", fail)
    asked = [*arguments, "--methods", "rd,neighbour", "--seeds", "0", "--name", "odd"]
    assert accuracy.main(asked) == 1
    assert "It ended unexpectedly (ZeroDivisionError, test_accuracy.py line" in capsys.readouterr().out
    rows = json.loads((tmp_path / "results/accuracy-odd.json").read_text())["rows"]
    assert ["failed" in row for row in rows] == [True, False, True, False]


@pytest.mark.parametrize("threads", ["0", "-1", "many"])
def test_no_number_of_cores_is_refused(arguments: list[str], threads: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        accuracy.main([*arguments, "--threads", threads])


def test_the_page_gives_the_mean_and_spread_over_seeds(run: Run) -> None:
    rows = [
        row(replace(run, category=category, seed=seed), figure)
        for category, figures in {"flange": (0.90, 0.94), "ring": (0.70, 0.70)}.items()
        for seed, figure in enumerate(figures)
    ]
    text = page("Two", rows, "The machine was shared.")
    assert "a machine. The machine was shared." in text
    assert "1 + 1 epochs, at least 0 + 0 steps, batch 4, learning rate 0.005, cosine schedule. Seeds 0, 1." in text
    assert "| flange, all pictures | 92.0 ± 2.8 |" in text
    assert "| **mean of 2 categories** | 81.0 ± 1.4 |" in text
    assert "| flange, all pictures | 7 |" in text


def row(run: Run, figure: float) -> dict[str, Any]:
    figures = dict.fromkeys(("image_auroc", "pixel_auroc"), figure)
    seconds = {"amplify": 3.0, "distill": 4.0}
    return {**asdict(run), **figures, "aupro": None, "shown": run.shown, "seconds": seconds, "machine": "a machine"}


def test_an_unknown_method_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        accuracy.main([*arguments, "--methods", "aand,magic"])
    assert "there is no method 'magic'; choose of aand, rd," in capsys.readouterr().err
    assert accuracy.main(["--data", "/nowhere"]) == 2
