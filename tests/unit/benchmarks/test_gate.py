"""What the gate separates: the variant that changes nothing is the model's own, and a gate that knows is seen to."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aand_edge.bench.device import describe_device
from aand_edge.data.layouts import Category, read_category
from aand_edge.data.sample.write import write_sample_set
from aand_edge.model.aand import Aand
from aand_edge.training.pictures import load_pictures
from benchmarks.gate import advanced_by, branches, judged, main, markdown, of, separation, variants
from benchmarks.report import as_program
from benchmarks.split import drawn_masks
from benchmarks.untrained import write_model

SIZE = 64


@pytest.fixture(scope="module")
def category(tmp_path_factory: pytest.TempPathFactory) -> Category:
    root: Path = tmp_path_factory.mktemp("data") / "flange"
    return read_category(write_sample_set(root, train=2, test_good=2, per_defect=1, size=SIZE))


@pytest.fixture(scope="module")
def model() -> Aand:
    torch.manual_seed(0)
    return Aand("resnet18", SIZE).eval()


@torch.inference_mode()
def test_once_the_gate_is_the_models_own_map_and_shut_it_is_the_vanilla_features(
    model: Aand, category: Category
) -> None:
    pictures = load_pictures(category.test, SIZE).float()
    features = model.teacher(pictures)
    amplified = branches(model, features)
    found = dict(variants(model, amplified))
    torch.testing.assert_close(found["gate × 1"], model(pictures)[0], rtol=0, atol=1e-5)
    assert all(torch.equal(a, f) for a, f in zip(advanced_by(0, amplified), features, strict=True))
    others = [maps for name, maps in found.items() if name != "gate × 1"]
    assert all((maps - found["gate × 1"]).abs().max() > 1e-4 for maps in others)


def test_a_gate_that_knows_the_defect_ranks_it_first_and_pictures_without_a_mask_do_not_count() -> None:
    mask = np.zeros((16, 16), dtype=bool)
    mask[:4, :4] = True
    gate = torch.full((3, 1, 4, 4), 0.1)
    gate[0, 0, 0, 0] = 0.9
    gate[2] = 0.5  # nobody drew its mask
    found = separation(gate, [mask, np.zeros_like(mask), None])
    assert found == pytest.approx({"on_defects": 0.9, "elsewhere": 0.1, "patch_auroc": 1.0})


def test_without_a_defective_patch_nothing_is_said_of_them() -> None:
    speck = np.zeros((16, 16), dtype=bool)
    speck[0, 0] = True
    gate = torch.full((1, 1, 4, 4), 0.1)
    assert separation(gate, [None])["elsewhere"] is None
    found = separation(gate, [speck])
    assert found["on_defects"] is found["patch_auroc"] is None
    assert found["elsewhere"] == pytest.approx(0.1)


def test_the_page_has_a_row_for_every_level_and_variant(model: Aand, category: Category) -> None:
    recipe = {"epochs_amplify": 4, "epochs_distill": 12, "batch": 4}
    found = {"seed": 7, "recipe": recipe, **judged(model, category.test, drawn_masks(category.test, SIZE))}
    page = markdown("flange", describe_device(), [found])
    assert "4 + 12 epochs, batch 4; seeds 7." in page
    assert page.count("\n| ") == 1 + 3 + 1 + len(found["variants"])
    assert f"| gate × 1 | {100 * found['variants']['gate × 1']['image_auroc']:.1f} |" in page


def test_reverse_distillation_has_no_gate(category: Category, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "rd", "resnet18", False, category.root)
    with pytest.raises(SystemExit, match="has no gate"):
        of(folder, category.test)


def test_what_is_not_there_is_told_in_a_sentence(
    category: Category, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gate", "nowhere", "--data", str(category.root), "--name", "none"])
    with pytest.raises(SystemExit) as ended:
        as_program(main)
    assert ended.value.code == 4
    assert capsys.readouterr().err.startswith("error: The model card nowhere/card.json is missing. ")
