"""A trained model on disk: `model.safetensors` and `card.json`; and the snapshot that a run resumes from.

No pickle: tensors lie in safetensors, everything else in JSON. A file is moved into place when whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aand_edge.artifacts import CARD, WEIGHTS, ModelCard, atomic_path, one_line, sha256_file
from aand_edge.errors import ArtefactMismatchError, UsageError
from aand_edge.model.aand import EQUAL, Aand
from aand_edge.training.loop import Progress

SNAPSHOT = "snapshot.safetensors"
START_OVER = "Delete it, or train with --fresh."


def save_model(folder: Path, model: Aand) -> str:
    """Write `model.safetensors`; returns its SHA-256, which belongs on the card.

    Graphs and engines know their model by that digest, and two trainings may differ in the levels' weights alone: so
    these stand in the file too, where they are not the paper's.
    """
    told = None if model.level_weights == EQUAL else {"level_weights": json.dumps(model.level_weights)}
    _save(folder / WEIGHTS, model.state_dict(), told)
    return sha256_file(folder / WEIGHTS)


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Whole or not at all. Raises OSError where the disk is full, which safetensors tells in a class of its own."""
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, metadata=metadata)
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written: {error}") from None


def load_model(folder: Path) -> tuple[Aand, ModelCard]:
    """The trained network, in evaluation mode, and its card.

    Raises ArtefactMismatchError where a file is missing, damaged or not the one that the card speaks of.
    """
    card = ModelCard.read(folder / CARD)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ArtefactMismatchError(f"{path} is missing", "Train the model again with `aand-edge train`.")
    found, written = sha256_file(path), card.weights.get("sha256")
    if found != written:
        raise ArtefactMismatchError(
            f"{path} has SHA-256 {found[:12]}…, its card says {str(written)[:12]}…",
            "Restore the file, or train the model again with `aand-edge train`.",
        )
    try:
        model = Aand(card.backbone, card.size, card.amplify, card.level_weights)
    except UsageError as error:
        raise ArtefactMismatchError(f"{folder / CARD} is wrong: {error.message}", card.again) from None
    try:
        tensors = load_file(path)
        _check_fit(tensors, model.state_dict())
    except (SafetensorError, ValueError) as error:
        raise ArtefactMismatchError(
            f"{path} does not hold a {card.backbone} model of size {card.size} ({one_line(str(error))})",
            "Train the model again with `aand-edge train`.",
        ) from None
    model.load_state_dict(tensors)
    return model.eval(), card


def _check_fit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises ValueError, naming the first tensor, where names, shapes or types differ: PyTorch would convert some."""
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            raise ValueError(f"it lacks {name}")
        if name not in wanted:
            raise ValueError(f"it has {name}, which there is not")
        if found[name].shape != wanted[name].shape:
            raise ValueError(f"{name} is {tuple(found[name].shape)}, and not {tuple(wanted[name].shape)}")
        if found[name].dtype != wanted[name].dtype:
            raise ValueError(f"{name} is {found[name].dtype}, and not {wanted[name].dtype}")


def save_snapshot(
    folder: Path, model: Aand, optimiser: torch.optim.Optimizer, progress: Progress, run: dict[str, Any]
) -> None:
    """Write what a run needs to go on: learned weights, the optimiser's moments and how far it is.

    run   what the run was asked for; a resumed run must ask for the same
    """
    tensors = {f"model.{key}": value for key, value in _learned(model).items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    facts = {"run": run, "stage": progress.stage, "epoch": progress.epoch, "history": progress.history}
    facts["seconds"] = progress.seconds
    _save(folder / SNAPSHOT, tensors, {"aand": json.dumps(facts)})


class Snapshot:
    """A snapshot read back."""

    def __init__(self, path: Path, progress: Progress, run: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.path, self.progress, self.run, self._tensors = path, progress, run, tensors

    @classmethod
    def read(cls, folder: Path) -> Snapshot | None:
        """None where there is none. Raises ArtefactMismatchError where it is damaged."""
        path = folder / SNAPSHOT
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as stored:
                facts = json.loads((stored.metadata() or {})["aand"])
            progress = TypeAdapter(Progress).validate_python(
                {k: facts[k] for k in ("stage", "epoch", "history", "seconds")}
            )
            _check_progress(progress)
            if not isinstance(facts["run"], dict):
                raise TypeError("no run")
            return cls(path, progress, facts["run"], load_file(path))
        except (SafetensorError, ValidationError, KeyError, TypeError, ValueError, RecursionError, OSError) as error:
            raise ArtefactMismatchError(f"{path} cannot be read ({type(error).__name__})", START_OVER) from None

    def restore_model(self, model: Aand) -> None:
        """Put the learned weights back. Raises ArtefactMismatchError where they are another network's."""
        learned = self._of("model.")
        self._check(learned, _learned(model))
        model.load_state_dict(learned, strict=False)

    def restore_optimiser(self, optimiser: torch.optim.Optimizer) -> None:
        """Put Adam's moments back. Raises ArtefactMismatchError where they are another network's."""
        parameters = [each for group in optimiser.param_groups for each in group["params"]]
        moments = self._of("adam.")
        met = {key.partition(".")[0] for key in moments}
        wanted: dict[str, Tensor] = {}
        state: dict[int, dict[str, Tensor]] = {}
        for number, parameter in enumerate(parameters):
            if str(number) in met:  # Adam has none of what no gradient reached
                of = {"step": torch.tensor(0.0), "exp_avg": parameter, "exp_avg_sq": parameter}
                wanted |= {f"{number}.{name}": value for name, value in of.items()}
                state[number] = {name: moments.get(f"{number}.{name}", value) for name, value in of.items()}
        self._check(moments, wanted)
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

    def _check(self, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
        try:
            _check_fit(found, wanted)
        except ValueError as error:
            raise ArtefactMismatchError(f"{self.path} does not fit: {one_line(str(error))}", START_OVER) from None

    def _of(self, prefix: str) -> dict[str, Tensor]:
        return {key[len(prefix) :]: value for key, value in self._tensors.items() if key.startswith(prefix)}


def _check_progress(progress: Progress) -> None:
    """Raises ValueError for what no training has come to."""
    figures = [*progress.seconds.values(), *(value for row in progress.history for value in row.values())]
    if progress.epoch < 0 or not all(map(math.isfinite, figures)):
        raise ValueError("no progress of a training")


def _learned(model: Aand) -> dict[str, Tensor]:
    """Everything but the teacher, which never changes."""
    return {key: value for key, value in model.state_dict().items() if not key.startswith("teacher.")}


def discard_snapshot(folder: Path) -> None:
    """A finished model needs none."""
    (folder / SNAPSHOT).unlink(missing_ok=True)
