"""Ways to put the levels together: the first is the paper's own map, another what `--levels standardised` folds in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aand_edge.data.layouts import Category, read_category
from aand_edge.data.sample.write import write_sample_set
from aand_edge.model.aand import Aand
from aand_edge.training.levels import even_weights
from aand_edge.training.pictures import load_pictures
from benchmarks.scores import LARGEST, Levels, look, ways

SIZE = 64


@pytest.fixture(scope="module")
def category(tmp_path_factory: pytest.TempPathFactory) -> Category:
    """Four good pictures, and four that are judged."""
    root: Path = tmp_path_factory.mktemp("data") / "flange"
    return read_category(write_sample_set(root, train=4, test_good=2, per_defect=1, size=SIZE))


def untrained(amplify: bool = True) -> Aand:
    torch.manual_seed(0)
    return Aand("resnet18", SIZE, amplify).eval()


def all_ways(model: Aand, category: Category) -> tuple[dict[str, tuple[Tensor, int]], Levels]:
    """The ways by name, and the distances of good pictures."""
    with torch.inference_mode():
        distances, gates = look(model, category.test)
        good, _ = look(model, category.train)
        return {name: (maps, count) for name, maps, count in ways(distances, gates, good, SIZE)}, good


@torch.inference_mode()
def test_the_first_way_is_the_models_own_map(category: Category) -> None:
    model = untrained()
    found, _ = all_ways(model, category)
    maps, count = found["sum"]
    own, scores = model(load_pictures(category.test, SIZE).float())
    torch.testing.assert_close(maps, own, rtol=0, atol=1e-5)
    torch.testing.assert_close(maps.flatten(1).topk(count, dim=1).values.mean(dim=1), scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("levels", "told"), [("scaled", "over its mean"), ("standardised", "standardised")])
@torch.inference_mode()
def test_a_weighted_way_is_what_training_would_fold_in(category: Category, levels: str, told: str) -> None:
    model = untrained()
    found, good = all_ways(model, category)
    (weighted,) = [maps for name, (maps, _) in found.items() if told in name]
    model.level_weights = even_weights(good, levels)
    own, _ = model(load_pictures(category.test, SIZE).float())
    torch.testing.assert_close(weighted, own, rtol=0, atol=1e-5)
    assert (weighted - found["sum"][0]).abs().max() > 1e-3


def test_a_model_without_amplifiers_has_no_gates_to_weigh_with(category: Category) -> None:
    with_gates, without = (all_ways(untrained(amplify), category)[0] for amplify in (True, False))
    assert with_gates.keys() - without.keys() == {"each level times its gate"}


def test_a_mean_of_the_largest_is_below_the_maximum(category: Category) -> None:
    found, _ = all_ways(untrained(), category)
    maps, count = found[f"sum, mean of the {LARGEST} largest"]
    values = maps.flatten(1)
    assert (values.topk(count, dim=1).values.mean(dim=1) < values.amax(dim=1)).all()
