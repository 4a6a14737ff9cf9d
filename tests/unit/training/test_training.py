"""Training: it learns, it resumes to the same weights, it stops on a broken loss, and it never opens a test picture."""

from __future__ import annotations

import errno
import itertools
import json
import re
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from aand_edge.artifacts import ModelCard, Region, sha256_file
from aand_edge.data.layouts import Category, Sample
from aand_edge.data.resize import Roi
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, DataError, TrainingError, UsageError
from aand_edge.model.aand import EQUAL, Aand, cosine_distance
from aand_edge.training import loop
from aand_edge.training.checkpoint import Snapshot, load_model, save_model
from aand_edge.training.compute import Compute
from aand_edge.training.options import Levels, TrainingOptions
from aand_edge.training.pictures import as_network_sees, load_pictures, load_training, split_holdout
from aand_edge.training.recipe import Recipe, find_recipe
from aand_edge.training.stages import AdvancedFeatures, DistillStep
from aand_edge.training.train import alone_in, train

WEIGHTS_SEED = 7


class Silent:
    """A watcher that interrupts where it is told to, as Ctrl-C would."""

    def __init__(self, interrupt_at: tuple[str, int, int] | None = None) -> None:
        self.interrupt_at = interrupt_at
        self.epochs: list[tuple[str, int]] = []
        self.resumptions: list[tuple[str, int]] = []
        self.warnings: list[str] = []

    def warned(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def resumed(self, stage: str, epoch: int) -> None:
        self.resumptions.append((stage, epoch))

    def epoch_done(self, stage: str, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        self.epochs.append((stage, epoch))

    def batch_done(self, stage: str, epoch: int, epochs: int, batch: int, batches: int) -> None:
        if (stage, epoch, batch) == self.interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture
def category(tmp_path: Path) -> Category:
    """Twelve discs on a belt, and test files that nobody can open."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "discs"
    (folder / "train/good").mkdir(parents=True)
    for number in range(12):
        picture = rng.normal(60, 5, (64, 64, 3))
        cv2.circle(picture, (32 + int(rng.integers(-3, 4)), 32), 18, (180, 170, 160), -1)
        cv2.imwrite(str(folder / f"train/good/{number:03}.png"), picture.clip(0, 255).astype(np.uint8))
    train_samples = tuple(Sample(path, "good") for path in sorted((folder / "train/good").iterdir()))
    return Category("discs", "mvtec", folder, train_samples, ())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A state dict for resnet18's stem to layer3."""
    from aand_edge.model.backbones import build_teacher
    from aand_edge.model.choices import find_backbone

    torch.manual_seed(WEIGHTS_SEED)
    path = tmp_path / "resnet18.pth"
    torch.save(build_teacher(find_backbone("resnet18")).state_dict(), path)
    return path


@pytest.fixture
def options(weights: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingOptions:
    monkeypatch.setattr(loop, "SNAPSHOT_SECONDS", 0.0)
    recipe = Recipe(epochs_amplify=2, epochs_distill=3, batch=4, learning_rate=0.002, schedule="cosine")
    return TrainingOptions("resnet18", 64, weights, recipe=recipe, holdout=0.25, device="cpu")


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder)[0].state_dict()


def history(folder: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads((folder / "history.json").read_text())
    return rows


def test_training_writes_a_model_whose_losses_fell(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    folder = tmp_path / "models/discs"
    card = train(category, folder, options, Silent())
    rows = history(folder)
    assert [set(row) for row in rows] == [{"focal", "amplify"}] * 2 + [{"distill"}] * 3
    assert rows[-1]["distill"] < rows[2]["distill"]
    assert card.data["train"] == 9
    assert len(card.holdout) == 3
    assert card.threshold is not None
    assert card.threshold.calibrated_on == 3
    assert card.metrics is None
    assert ModelCard.read(folder / "card.json") == card
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "history.json", "model.safetensors"]


def test_what_looks_odd_about_the_pictures_is_told_and_trained_on(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    path, watcher = category.root / "train/good/thumbnail.png", Silent()
    cv2.imwrite(str(path), np.zeros((1, 1, 3), np.uint8))
    recipe = replace(options.recipe, epochs_amplify=1, epochs_distill=1)
    options = replace(options, recipe=recipe)
    card = train(replace(category, train=(*category.train, Sample(path, "good"))), tmp_path / "m", options, watcher)
    assert card.data["train"] + card.data["held_out"] == 13
    assert any(f"{path} (1x1)" in warning for warning in watcher.warnings)


@pytest.mark.parametrize(
    ("levels", "evened"), [("scaled", Tensor.mean), ("standardised", lambda level: level.std(correction=0))]
)
def test_levels_are_as_large_or_vary_as_much_on_good_parts(
    category: Category,
    options: TrainingOptions,
    tmp_path: Path,
    levels: Levels,
    evened: Callable[[Tensor], Tensor],
) -> None:
    plain = train(category, tmp_path / "equal", options, Silent())
    card = train(category, tmp_path / "m", replace(options, levels=levels), Silent())
    assert plain.level_weights == EQUAL
    assert sum(card.level_weights) == pytest.approx(3)
    model, _ = load_model(tmp_path / "m")
    held_out = [
        sample for sample in category.train if sample.path.relative_to(category.root).as_posix() in card.holdout
    ]
    with torch.no_grad():
        advanced = model.advanced(load_pictures(held_out, 64).float())
        weighted = zip(model.level_weights, advanced, model.restore(advanced), strict=True)
        found = torch.stack([weight * evened(cosine_distance(a, s)) for weight, a, s in weighted])
    assert torch.allclose(found, found[0], rtol=1e-3)
    assert card.threshold != plain.threshold  # which is of another map
    equal, others = tensors(tmp_path / "equal"), tensors(tmp_path / "m")
    assert all(torch.equal(value, others[key]) for key, value in equal.items())
    assert card.weights["sha256"] != plain.weights["sha256"], "a graph of the one would serve the other"


def test_what_lies_beside_a_region_is_never_seen(category: Category, options: TrainingOptions, tmp_path: Path) -> None:
    options = replace(options, roi=(8, 4, 48, 56), levels="scaled")
    card = train(category, tmp_path / "m", options, Silent())
    assert card.region == Region(frame=(64, 64), roi=(8, 4, 48, 56))
    for sample in category.train:
        picture = cv2.imread(str(sample.path))
        picture[:4], picture[60:], picture[:, :8], picture[:, 56:] = 0, 255, 0, 255
        cv2.imwrite(str(sample.path), picture)
    again = train(category, tmp_path / "again", options, Silent())
    assert again.weights["sha256"] == card.weights["sha256"]
    assert again.threshold == card.threshold


@pytest.mark.parametrize(
    ("roi", "sentence"),
    [((8, 4, 48, 61), "leaves the pictures of 64x64"), ((-1, 0, 40, 40), "leaves"), ((0, 0, 40, 10), "shows no part")],
)
def test_a_region_that_does_not_lie_in_the_pictures_is_refused(
    category: Category, options: TrainingOptions, tmp_path: Path, roi: Roi, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        train(category, tmp_path / "m", replace(options, roi=roi), Silent())


def test_a_region_of_pictures_of_two_sizes_is_refused(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    cv2.imwrite(str(category.train[0].path), np.full((80, 64, 3), 60, np.uint8))
    with pytest.raises(UsageError, match=r"have 2 sizes \(64x64, 64x80\).+Leave --roi out"):
        train(category, tmp_path / "m", replace(options, roi=(0, 0, 32, 32)), Silent())


def test_a_picture_of_another_camera_does_not_have_the_region() -> None:
    region = Region(frame=(64, 64), roi=(8, 4, 48, 56))
    with pytest.raises(DataError, match=r"A picture of 80x64 does not have the region 48x56\+8\+4 of 64x64"):
        as_network_sees(np.zeros((64, 80, 3), np.uint8), 64, region)


@pytest.mark.parametrize("moment", [("amplify", 1, 1), ("distill", 0, 2), ("distill", 2, 1)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    category: Category, options: TrainingOptions, tmp_path: Path, moment: tuple[str, int, int]
) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train(category, whole, options, Silent())
    with pytest.raises(KeyboardInterrupt):
        train(category, parted, options, Silent(moment))
    second = Silent()
    train(category, parted, options, second)
    assert len(second.epochs) < 5  # it went on, and did not start over
    assert len(second.resumptions) == 1
    assert history(parted) == history(whole)
    expected = tensors(whole)
    assert all(torch.equal(expected[key], value) for key, value in tensors(parted).items())


def test_the_seconds_before_an_interruption_count_too(
    category: Category, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))  # an epoch takes 1 s
    with pytest.raises(KeyboardInterrupt):
        train(category, tmp_path / "m", options, Silent(("distill", 2, 1)))
    second = Silent()
    assert train(category, tmp_path / "m", options, second).seconds == {"amplify": 2.0, "distill": 3.0}
    assert second.resumptions == [("distill", 2)]


def test_seeds_differ(category: Category, options: TrainingOptions, tmp_path: Path) -> None:
    train(category, tmp_path / "a", options, Silent())
    train(category, tmp_path / "b", replace(options, seed=1), Silent())
    a, b = tensors(tmp_path / "a"), tensors(tmp_path / "b")
    assert not torch.equal(a["student.up1.0.conv1.weight"], b["student.up1.0.conv1.weight"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")
def test_a_second_training_in_a_folder_is_refused_while_the_first_works(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    with (
        alone_in(tmp_path / "m"),
        pytest.raises(AandEdgeError, match=r"Another training is at work in .*m\. Wait"),
    ):
        train(category, tmp_path / "m", replace(options, fresh=True), Silent())
    assert not list((tmp_path / "m").iterdir())
    train(category, tmp_path / "m", options, Silent())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")
def test_a_share_that_locks_no_folder_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(place: int, how: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # as NFS answers for a folder

    monkeypatch.setattr("fcntl.flock", refuse)
    with alone_in(tmp_path):
        pass


def test_a_snapshot_of_another_run_is_refused_unless_told_to_start_over(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(category, tmp_path / "m", options, Silent(("distill", 1, 1)))
    with pytest.raises(ArtefactMismatchError, match=r"differs in seed \(0, now 5\).*--fresh"):
        train(category, tmp_path / "m", replace(options, seed=5), Silent())
    with pytest.raises(ArtefactMismatchError, match=r"differs in levels \(equal, now standardised\).*--levels equal"):
        train(category, tmp_path / "m", replace(options, levels="standardised"), Silent())
    recipe = replace(options.recipe, learning_rate=0.25)
    with pytest.raises(ArtefactMismatchError, match=r"differs in recipe \(learning_rate [\d.]+, now 0.25\)"):
        train(category, tmp_path / "m", replace(options, recipe=recipe), Silent())
    train(category, tmp_path / "m", replace(options, seed=5, fresh=True), Silent())
    assert ModelCard.read(tmp_path / "m/card.json").seed == 5


def test_a_snapshot_of_before_levels_and_region_were_told_is_one_of_equal_levels_and_whole_pictures(
    category: Category, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(category, tmp_path / "m", options, Silent(("distill", 1, 1)))
    snapshot = Snapshot.read(tmp_path / "m")
    assert snapshot is not None
    snapshot.run.pop("levels")
    snapshot.run.pop("roi")
    monkeypatch.setattr(Snapshot, "read", lambda folder: snapshot)
    with pytest.raises(ArtefactMismatchError, match=r"differs in levels"):
        train(category, tmp_path / "m", replace(options, levels="standardised"), Silent())
    train(category, tmp_path / "m", options, Silent())


def test_without_amplification_only_the_student_learns(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    card = train(category, tmp_path / "rd", replace(options, amplify=False, hard_patches=0), Silent())
    assert not card.amplify
    assert not any(key.startswith("amplifiers") for key in tensors(tmp_path / "rd"))
    assert [set(row) for row in history(tmp_path / "rd")] == [{"distill"}] * 3


def test_a_cache_that_does_not_fit_gives_the_same_model(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    train(category, tmp_path / "cached", options, Silent())
    train(category, tmp_path / "computed", replace(options, cache_mb=0), Silent())
    cached, computed = (history(tmp_path / name) for name in ("cached", "computed"))
    # Batches of another size round differently, and Adam enlarges that: the first epoch still shows the same features.
    assert cached[:2] == computed[:2]
    assert cached[2]["distill"] == pytest.approx(computed[2]["distill"], rel=0.01)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_snapshot(
    category: Category, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy, calls = DistillStep.__call__, []

    def broken(self: DistillStep, rows: torch.Tensor, generator: torch.Generator) -> Any:
        calls.append(rows)
        losses = healthy(self, rows, generator)
        return {"distill": losses["distill"] * float("nan")} if len(calls) == 4 else losses

    monkeypatch.setattr(DistillStep, "__call__", broken)
    with pytest.raises(TrainingError, match=r"distill loss is nan in batch 2 of epoch 2.*--lr"):
        train(category, tmp_path / "m", options, Silent())
    assert (tmp_path / "m/snapshot.safetensors").is_file()
    assert not (tmp_path / "m/model.safetensors").exists()


def test_training_never_opens_a_test_picture_beyond_the_check(
    category: Category, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aand_edge.training import pictures

    opened: list[Path] = []
    read = pictures.read_picture
    monkeypatch.setattr(pictures, "read_picture", lambda path: (opened.append(path), read(path))[1])
    test = category.root / "test/scratch/000.png"
    test.parent.mkdir(parents=True)
    cv2.imwrite(str(test), np.zeros((64, 64, 3), np.uint8))
    train(replace(category, test=(Sample(test, "scratch"),)), tmp_path / "m", options, Silent())
    assert opened
    assert test not in opened


def test_too_few_pictures_are_refused_before_anything_is_loaded(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="3 training pictures; at least 8"):
        train(replace(category, train=category.train[:3]), tmp_path / "m", options, Silent())
    assert not (tmp_path / "m").exists()


def test_a_changed_byte_in_the_model_is_found(category: Category, options: TrainingOptions, tmp_path: Path) -> None:
    train(category, tmp_path / "m", options, Silent())
    path = tmp_path / "m/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtefactMismatchError, match="SHA-256"):
        load_model(tmp_path / "m")


def written(folder: Path, contents: list[str]) -> list[Sample]:
    for number, content in enumerate(contents):
        (folder / f"{number}.png").write_text(content)
    return [Sample(folder / f"{number}.png", "good") for number in range(len(contents))]


def test_the_students_targets_are_as_exact_as_when_parts_are_judged(category: Category) -> None:
    """Where the student learns in bfloat16, what it learns from is not rounded to its 8 bits."""
    model = Aand("resnet18", 64).eval()
    training = load_training(category.train, 64)
    features = AdvancedFeatures(model, training, Compute(torch.device("cpu"), torch.bfloat16), 1000)
    with torch.no_grad():
        exact = model.advanced(training.pictures[:4].float())
    for level, wanted in zip(features(torch.arange(4)), exact, strict=True):
        assert torch.allclose(level, wanted, rtol=2**-11, atol=1e-6)  # the cache's half precision


def test_a_full_disk_leaves_the_model_that_was_there(tmp_path: Path) -> None:
    model = Aand("resnet18", 64)
    before = save_model(tmp_path, model)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # no file may grow larger, as on a full disk
    try:
        with pytest.raises(OSError, match=r"model\.safetensors cannot be written: .*File too large"):
            save_model(tmp_path, model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sha256_file(tmp_path / "model.safetensors") == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_copies_of_a_picture_are_never_on_both_sides(tmp_path: Path) -> None:
    contents = [str(number // 3) for number in range(30)]  # each picture three times
    for seed in range(20):
        kept, held_out = split_holdout(written(tmp_path, contents), 0.3, seed)
        assert len(held_out) == 9
        assert not {each.path.read_text() for each in kept} & {each.path.read_text() for each in held_out}


def test_copies_of_one_picture_alone_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are copies of one another"):
        split_holdout(written(tmp_path, ["same"] * 12), 0.1, 0)


@pytest.mark.parametrize(
    ("count", "share", "held"), [(320, 0.1, 32), (31, 0.1, 4), (12, 0.1, 3), (8, 0.1, 2), (8, 0.9, 7)]
)
def test_the_hold_out_keeps_a_few_pictures_even_of_a_small_set(
    tmp_path: Path, count: int, share: float, held: int
) -> None:
    samples = written(tmp_path, [str(number) for number in range(count)])
    kept, held_out = split_holdout(samples, share, seed=0)
    assert len(held_out) == held
    assert sorted(kept + held_out, key=lambda s: int(s.path.stem)) == samples
    assert split_holdout(samples, share, seed=0) == (kept, held_out)
    assert split_holdout(samples, share, seed=1) != (kept, held_out)


def test_the_papers_schedule_steps_twice() -> None:
    factors = [Recipe().factor(epoch / 100) for epoch in (0, 79, 80, 89, 90, 99)]
    assert factors == [1, 1, 0.2, 0.2, 0.04, 0.04]


def test_a_cosine_schedule_warms_up_and_ends_at_zero() -> None:
    recipe = Recipe(schedule="cosine")
    assert recipe.factor(0) < 0.05
    assert recipe.factor(0.05) == 1
    assert recipe.factor(1) == pytest.approx(0)


def test_presets_are_changed_by_what_is_given_alone() -> None:
    assert find_recipe("paper", batch=None, epochs_distill=7) == Recipe(epochs_distill=7)
    with pytest.raises(UsageError, match="paper, short"):
        find_recipe("fast")


def test_few_pictures_are_passed_over_more_often_on_the_short_schedule() -> None:
    short = find_recipe("short")
    few, many = short.for_pictures(27), short.for_pictures(288)  # 7 and 72 steps an epoch
    assert 7 * few.epochs_amplify >= short.steps_amplify > 7 * (few.epochs_amplify - 1)
    assert 7 * few.epochs_distill >= short.steps_distill > 7 * (few.epochs_distill - 1)
    assert many == short
    for count in (8, 9, 29, 30):
        steps = len(loop.batches(count, short.batch, torch.Generator()))
        epochs = short.for_pictures(count).epochs_distill
        assert steps * epochs >= short.steps_distill > steps * (epochs - 1)
    assert find_recipe("paper").for_pictures(8) == Recipe()
    asked = find_recipe("short", epochs_distill=2).for_pictures(27)
    assert (asked.epochs_amplify, asked.epochs_distill) == (few.epochs_amplify, 2)
    assert find_recipe("short", epochs_distill=2, steps_distill=70).for_pictures(27).epochs_distill == 10


def test_a_model_is_trained_for_the_fewest_steps_asked_for(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    watcher = Silent()
    recipe = replace(options.recipe, steps_amplify=5, steps_distill=8)  # 9 pictures: 2 steps an epoch
    card = train(category, tmp_path / "discs", replace(options, recipe=recipe), watcher)
    assert watcher.epochs == [("amplify", 1), ("amplify", 2), ("amplify", 3), *(("distill", n) for n in range(1, 5))]
    assert (card.recipe["epochs_amplify"], card.recipe["epochs_distill"]) == (3, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 1},
        {"epochs_distill": 0},
        {"steps_distill": -1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": 1.01},
        {"learning_rate": 1e9},
        {"learning_rate": float("inf")},
        {"schedule": "linear"},
    ],
)
def test_a_recipe_that_cannot_train_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        find_recipe("paper", **wrong)


def test_the_largest_rate_is_taken_and_told() -> None:
    assert find_recipe("paper", learning_rate=1.0).learning_rate == 1.0
    with pytest.raises(UsageError, match=r"A learning rate of 1e\+09 cannot learn.+above 0, and 1 at most.+is 0\.005"):
        find_recipe("paper", learning_rate=1e9)


@pytest.mark.parametrize(("batch", "told"), [(9, False), (10, True)])
def test_a_batch_of_more_pictures_than_there_are_is_told(
    category: Category, options: TrainingOptions, tmp_path: Path, batch: int, told: bool
) -> None:
    watcher = Silent()
    recipe = replace(options.recipe, epochs_amplify=0, epochs_distill=1, batch=batch)
    train(category, tmp_path / "m", replace(options, recipe=recipe), watcher)
    sentence = "There are 9 pictures to train on, fewer than the batch of 10: each step takes all of them"
    assert any(sentence in warning for warning in watcher.warnings) is told


def test_a_last_single_picture_joins_the_batch_before_it() -> None:
    sizes = [len(rows) for rows in loop.batches(17, 4, torch.Generator().manual_seed(0))]
    assert sizes == [4, 4, 4, 5]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "resnet1"}, "There is no backbone 'resnet1'"),
        ({"size": 0}, "A picture size of 0 does not fit"),
        ({"size": 1_000_000}, "A picture size of 1000000 does not fit. Take a multiple of 32, from 64 to 2048."),
        ({"device": "cuda:x"}, "There is no device 'cuda:x'"),
        ({"weights": Path("nowhere.pth")}, "There is no weights file nowhere.pth"),
        ({"textures": Path("nowhere")}, "There is no texture folder nowhere"),
        ({"holdout": 1.0}, "A hold-out share of 1.0 cannot be taken"),
        ({"false_rejects": 0.0}, "A false-reject rate of 0.0 is none"),
        ({"cache_mb": -1}, "cannot be negative"),
    ],
)
def test_options_that_cannot_be_are_refused_before_a_picture_is_opened(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        TrainingOptions(**{"backbone": "resnet18", "size": 64, "weights": None, **wrong})


def test_a_folder_that_cannot_be_written_is_noticed_before_the_first_step(
    category: Category, options: TrainingOptions, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    watcher = Silent()
    with pytest.raises(OSError, match="models"):
        train(category, tmp_path / "models" / "m", options, watcher)
    assert watcher.epochs == []
