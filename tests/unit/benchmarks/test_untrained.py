"""Networks that nobody trained; their graphs are judged in test_gpu.py and counted in test_roofline.py."""

from __future__ import annotations

from pathlib import Path

from aand_edge.training.checkpoint import load_model
from benchmarks.untrained import network, noise, write_model
from tests.models import write_category


def test_a_network_is_the_same_each_time() -> None:
    first, second = (network("resnet18", 64).state_dict() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)
    assert (noise(2, 8) == noise(3, 8)[:2]).all()


def test_a_models_folder_is_as_training_leaves_it(tmp_path: Path) -> None:
    data = write_category(tmp_path / "part")
    model, card = load_model(write_model(tmp_path / "rd", "resnet18", False, data))
    assert card.holdout == ["train/good/0.png"]
    assert model.amplifiers is None
