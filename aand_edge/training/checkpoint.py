"""A trained model on disk: `model.safetensors` and `card.json`; and the snapshot that a run resumes from.

No pickle: tensors lie in safetensors, everything else in JSON. A file is moved into place when whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aand_edge.artifacts import CARD, WEIGHTS, ModelCard, atomic_path, sha256_file
from aand_edge.errors import ArtefactMismatchError
from aand_edge.model.aand import EQUAL, Aand
from aand_edge.training.loop import Progress

SNAPSHOT = "snapshot.safetensors"


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
    model = Aand(card.backbone, card.size, card.amplify, card.level_weights)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise ArtefactMismatchError(
            f"{path} does not hold a {card.backbone} model of size {card.size} ({type(error).__name__})",
            "Train the model again with `aand-edge train`.",
        ) from None
    return model.eval(), card


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

    def __init__(self, progress: Progress, run: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.progress, self.run, self._tensors = progress, run, tensors

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
            return cls(progress, facts["run"], load_file(path))
        except (SafetensorError, ValidationError, KeyError, ValueError, OSError) as error:
            raise ArtefactMismatchError(
                f"{path} cannot be read ({type(error).__name__})", "Delete it, or train with --fresh."
            ) from None

    def restore_model(self, model: Aand) -> None:
        """Put the learned weights back."""
        model.load_state_dict(self._of("model."), strict=False)

    def restore_optimiser(self, optimiser: torch.optim.Optimizer) -> None:
        """Put Adam's moments back."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self._of("adam.").items():
            number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

    def _of(self, prefix: str) -> dict[str, Tensor]:
        return {key[len(prefix) :]: value for key, value in self._tensors.items() if key.startswith(prefix)}


def _learned(model: Aand) -> dict[str, Tensor]:
    """Everything but the teacher, which never changes."""
    return {key: value for key, value in model.state_dict().items() if not key.startswith("teacher.")}


def discard_snapshot(folder: Path) -> None:
    """A finished model needs none."""
    (folder / SNAPSHOT).unlink(missing_ok=True)
