"""The PyTorch model as training left it, run eagerly: the yardstick that an engine must beat."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from aand_edge.bench.contender import Contender
from aand_edge.engines.base import Frames, Outputs, Runner, check_frames
from aand_edge.errors import UsageError
from aand_edge.training.checkpoint import load_model
from aand_edge.training.pictures import as_network_sees


def eager_contender(folder: Path) -> Contender:
    """The model in `folder`, float32, channels last, on the CPU, judged by the threshold on its card."""
    _, card = load_model(folder)
    if card.threshold is None:
        raise UsageError(f"The model {card.name} has no threshold", "Train it again.")
    return Contender(
        name=f"{card.name}.torch-eager",
        backend="torch eager",
        precision="fp32",
        frame=card.region.frame if card.region else (card.size, card.size),
        colour="RGB",
        roi=card.region.roi if card.region else None,
        threshold=card.threshold,
        load=partial(EagerRunner, folder),
        deployable=False,
    )


class EagerRunner(Runner):
    """A `base.Runner` over the trained module."""

    def __init__(self, folder: Path) -> None:
        model, card = load_model(folder)
        self._model = model.to(memory_format=torch.channels_last)
        self._size, self._region = card.size, card.region
        self._shape = (1, *(card.region.frame if card.region else (card.size, card.size)), 3)

    @torch.inference_mode()
    def infer(self, frames: Frames) -> Outputs:
        """frames: uint8 (1, S, S, 3), or (1, H, W, 3) of the pictures that the model looks at a region of; RGB."""
        check_frames(frames, self._shape)
        seen = as_network_sees(np.ascontiguousarray(frames[0]), self._size, self._region)
        picture = torch.from_numpy(seen)[None].permute(0, 3, 1, 2).float()
        anomaly_map, score = self._model(picture)
        return Outputs(anomaly_map.numpy(), score.numpy())

    def close(self) -> None:
        """Nothing is held."""
