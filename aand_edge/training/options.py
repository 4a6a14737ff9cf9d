"""What a training may be asked for. Nothing here needs PyTorch: a wrong option is told at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from aand_edge.artifacts import FALSE_REJECTS
from aand_edge.data.resize import Roi
from aand_edge.errors import UsageError
from aand_edge.model.choices import HARD_PATCHES, check_size, find_backbone
from aand_edge.training.recipe import Recipe

Levels = Literal["equal", "scaled", "standardised"]


@dataclass(frozen=True)
class TrainingOptions:
    """What a training run may be asked for; the defaults are the paper's."""

    backbone: str = "wide_resnet50_2"
    size: int = 256
    weights: Path | None = None
    roi: Roi | None = None  # x, y, width, height of the part of each picture that is looked at
    amplify: bool = True
    hard_patches: int = HARD_PATCHES
    levels: Levels = "equal"  # what they count in the map
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    holdout: float = 0.1
    textures: Path | None = None
    device: str = "auto"
    cache_mb: int = 4096  # of main memory, for the advanced features of stage two
    false_rejects: float = FALSE_REJECTS
    fresh: bool = False  # start over even where a snapshot lies

    def __post_init__(self) -> None:
        """Raises UsageError for what cannot be trained with, before a picture is opened."""
        find_backbone(self.backbone)
        check_size(self.size)
        check_device(self.device)
        if self.weights is not None and not self.weights.is_file():
            raise UsageError(f"There is no weights file {self.weights}", "Check --weights.")
        if self.textures is not None and not self.textures.is_dir():
            raise UsageError(f"There is no texture folder {self.textures}", "Check --textures.")
        if self.levels not in get_args(Levels):
            *others, last = get_args(Levels)
            raise UsageError(f"Levels cannot be '{self.levels}'", f"Choose {', '.join(others)} or {last}.")
        if not 0 < self.holdout < 1:
            raise UsageError(f"A hold-out share of {self.holdout} cannot be taken", "Take a share between 0 and 1.")
        if not 0 < self.false_rejects < 1:
            raise UsageError(f"A false-reject rate of {self.false_rejects} is none", "Take a rate between 0 and 1.")
        if self.hard_patches < 0 or self.cache_mb < 0:
            raise UsageError("--hard-patches and --cache-mb cannot be negative", "Take 0 or more.")


def check_device(device: str) -> None:
    """Raises UsageError for a name that no device has; whether it is there is PyTorch's to say."""
    if device not in ("auto", "cpu") and not re.fullmatch(r"cuda(:\d+)?", device):
        raise UsageError(f"There is no device '{device}'", "Choose auto, cpu or cuda.")
