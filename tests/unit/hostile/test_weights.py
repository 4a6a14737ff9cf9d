"""Weights, models and snapshots of strangers: tensors of the right names, shapes and types, or a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from aand_edge.artifacts import ModelCard
from aand_edge.model.aand import Aand
from aand_edge.model.backbones import build_teacher
from aand_edge.model.choices import find_backbone
from aand_edge.model.weights import load_teacher, read_state_dict
from aand_edge.training.checkpoint import SNAPSHOT, Snapshot, load_model, save_snapshot
from aand_edge.training.loop import Progress, make_optimiser
from aand_edge.training.recipe import Recipe
from tests.hostile import RUBBISH, at_most, bounded, retyped, spoilt, taken_or_refused
from tests.unit.hostile.test_records import CARD

BACKBONE = "efficientnet_lite0"
Tensors = dict[str, Tensor]
SMALL: Tensors = {"a": torch.ones(3, 2), "b.c": torch.zeros(4), "d": torch.tensor(1)}


EDITS: dict[str, Callable[[Tensor], Tensor]] = {
    "empty": lambda tensor: tensor.reshape(-1)[:0],
    "twice": lambda tensor: tensor.reshape(-1).repeat(2),
    "another dimension": lambda tensor: tensor[None],
    "float64": lambda tensor: tensor.to(torch.float64),
    "float16": lambda tensor: tensor.to(torch.float16),
    "int32": lambda tensor: tensor.to(torch.int32),
    "bool": lambda tensor: tensor.to(torch.bool),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "float8": lambda tensor: tensor.float().to(torch.float8_e4m3fn),
    "nan": lambda tensor: torch.full_like(tensor.float(), float("nan")),
    "infinite": lambda tensor: torch.full_like(tensor.float(), float("inf")),
}
MORE = ("", "extra", "model.", "model.extra", "adam.x", "adam.0.more", "adam.99.step", "adam.0")


def edits(tensors: Tensors) -> st.SearchStrategy[tuple[str, str]]:
    """(name, edit): a tensor is changed, is not there, has another's values, or one is there that nobody reads."""
    return st.tuples(st.sampled_from(sorted(tensors)), st.sampled_from([*EDITS, *MORE, "gone", "another's"]))


def edited(tensors: Tensors, name: str, edit: str) -> Tensors:
    """The tensors with that edit."""
    if edit in MORE:
        return {**tensors, edit: torch.ones(2)}
    if edit == "gone":
        return {key: value for key, value in tensors.items() if key != name}
    if edit == "another's":
        return {**tensors, name: next(iter(tensors.values())).clone()}
    return {**tensors, name: EDITS[edit](tensors[name]).contiguous().clone()}


@pytest.fixture(scope="module")
def model() -> Aand:
    torch.manual_seed(0)
    return Aand(BACKBONE, 64)


def plain(tensors: Any) -> Tensors:
    return {key: value.detach().clone().contiguous() for key, value in tensors.items()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_spoilt_weights_file_is_refused_or_holds_tensors(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(SMALL, path)
    else:
        save_file(SMALL, path)

    @bounded(150)
    @given(spoilt(path.read_bytes(), header=400))
    def spoil(data: bytes) -> None:
        path.write_bytes(data)
        found = taken_or_refused(lambda: read_state_dict(path), 2)
        assert found is None or all(isinstance(value, Tensor) for value in found.values())

    with at_most(300):
        spoil()


@pytest.mark.parametrize("save_as", [save_file, lambda tensors, path: torch.save(tensors, path)])
def test_weights_that_misfit_are_refused(tmp_path: Path, save_as: Callable[[Tensors, Path], None]) -> None:
    backbone = find_backbone(BACKBONE)
    teacher = build_teacher(backbone)
    whole = plain(teacher.state_dict())
    path = tmp_path / ("weights.safetensors" if save_as is save_file else "weights.pth")

    @bounded(40)
    @given(edits(whole))
    def misfit(edit: tuple[str, str]) -> None:
        save_as(edited(whole, *edit), path)
        if taken_or_refused(lambda: load_teacher(teacher, backbone, path), 2) is not None:
            assert all(value.isfinite().all() for value in teacher.state_dict().values())

    misfit()


def test_a_model_that_misfits_its_card_is_refused(tmp_path: Path, model: Aand) -> None:
    whole = plain(model.state_dict())

    @bounded(40)
    @given(edits(whole))
    def misfit(edit: tuple[str, str]) -> None:
        tensors = edited(whole, *edit)
        data = save(tensors)
        (tmp_path / "model.safetensors").write_bytes(data)
        card_of(data).write(tmp_path / "card.json")
        loaded = taken_or_refused(lambda: load_model(tmp_path), 4)
        same = tensors.keys() == whole.keys() and all(
            (tensors[key].shape, tensors[key].dtype) == (whole[key].shape, whole[key].dtype) for key in whole
        )
        assert (loaded is not None) == same

    misfit()


def card_of(data: bytes) -> ModelCard:
    weights = {"sha256": sha256(data).hexdigest()}
    return CARD.model_copy(update={"backbone": BACKBONE, "weights": weights})


def test_a_model_of_a_retyped_card_is_refused_or_is_of_that_card(tmp_path: Path, model: Aand) -> None:
    data = save(plain(model.state_dict()))
    (tmp_path / "model.safetensors").write_bytes(data)
    told = card_of(data).model_dump(mode="json")

    @bounded(60)
    @given(st.sampled_from(["backbone", "size", "amplify", "level_weights", "weights"]), RUBBISH)
    def retype(field: str, value: Any) -> None:
        (tmp_path / "card.json").write_text(json.dumps({**told, field: value}))
        loaded = taken_or_refused(lambda: load_model(tmp_path), 4)
        if loaded is not None:
            assert (loaded[0].size, loaded[0].backbone.name) == (64, BACKBONE)

    retype()
    (tmp_path / "card.json").write_text(json.dumps(told))
    assert load_model(tmp_path)[1].backbone == BACKBONE


@pytest.fixture
def snapshot(tmp_path: Path, model: Aand) -> Path:
    """Of a training that took one step of stage one."""
    assert model.amplifiers is not None
    optimiser = make_optimiser(list(model.amplifiers.parameters()), Recipe())
    for parameter in model.amplifiers.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    save_snapshot(tmp_path, model, optimiser, Progress("amplify", 1, [{"focal": 1.0}], {"amplify": 2.0}), {"seed": 0})
    return tmp_path / SNAPSHOT


def resumed(path: Path, model: Aand) -> Progress | None:
    """The progress of a training that goes on from there, after a step of it."""
    assert model.amplifiers is not None
    parameters = list(model.amplifiers.parameters())
    optimiser = make_optimiser(parameters, Recipe())
    found = taken_or_refused(lambda: Snapshot.read(path.parent), 4)
    if found is None:
        return None

    def restore() -> bool:
        found.restore_model(model)
        found.restore_optimiser(optimiser)
        return True

    if taken_or_refused(restore, 4) is None:
        return None
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    return found.progress


def test_a_whole_snapshot_is_gone_on_from(snapshot: Path, model: Aand) -> None:
    assert resumed(snapshot, model) == Progress("amplify", 1, [{"focal": 1.0}], {"amplify": 2.0})


def test_a_snapshot_that_misfits_is_refused(snapshot: Path, model: Aand) -> None:
    from safetensors import safe_open

    with safe_open(snapshot, "pt") as stored:
        told = stored.metadata()
    whole = load_file(snapshot)
    few = {key: value for key, value in whole.items() if key.startswith(("adam.", "model.amplifiers."))}

    @bounded(40)
    @given(edits(few))
    def misfit(edit: tuple[str, str]) -> None:
        kept = {key: value for key, value in whole.items() if key not in few}
        save_file({**kept, **edited(few, *edit)}, snapshot, metadata=told)
        progress = resumed(snapshot, model)
        assert (progress is None) or edit[1] in ("nan", "infinite", "another's", "", "extra", "gone")

    misfit()


def test_a_snapshot_of_retyped_facts_is_refused_or_gone_on_from(snapshot: Path, model: Aand) -> None:
    from safetensors import safe_open

    with safe_open(snapshot, "pt") as stored:
        facts = json.loads(stored.metadata()["aand"])

    @bounded(100)
    @given(retyped(facts))
    def retype(text: str) -> None:
        save_file(SMALL, snapshot, metadata={"aand": text})
        found = taken_or_refused(lambda: Snapshot.read(snapshot.parent), 4)
        if found is not None:
            assert found.progress.epoch >= 0
            assert dict(found.run) == found.run

    retype()


def test_a_spoilt_snapshot_is_refused_or_gone_on_from(tmp_path: Path) -> None:
    facts = {"run": {}, "stage": "amplify", "epoch": 1, "history": [], "seconds": {}}
    whole = save(SMALL, metadata={"aand": json.dumps(facts)})

    @bounded(100)
    @given(spoilt(whole, header=300))
    def spoil(data: bytes) -> None:
        (tmp_path / SNAPSHOT).write_bytes(data)
        taken_or_refused(lambda: Snapshot.read(tmp_path), 4)

    spoil()
