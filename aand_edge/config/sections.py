"""The sections of `aand-edge.toml` that make a model and its engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from aand_edge.artifacts import FALSE_REJECTS, MOST_THREADS

# Names that live where torch is needed; a test holds them to those.
Backbone = Literal["wide_resnet50_2", "resnet50", "resnet34", "resnet18", "efficientnet_lite0"]
Preset = Literal["paper", "short"]
Layout = Literal["auto", "mvtec", "visa", "mvtec3d", "folder"]
Schedule = Literal["step", "cosine"]
Levels = Literal["equal", "scaled", "standardised"]
Rectangle = tuple[  # x, y, width, height
    Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]
]
SCHEDULES: dict[str, dict[str, int | float | str]] = {
    "paper": {
        "epochs_amplify": 100,
        "epochs_distill": 120,
        "batch": 16,
        "lr": 0.005,
        "schedule": "step",
        "steps_amplify": 0,
        "steps_distill": 0,
    },
    "short": {
        "epochs_amplify": 4,
        "epochs_distill": 12,
        "batch": 4,
        "lr": 0.005,
        "schedule": "cosine",
        "steps_amplify": 100,
        "steps_distill": 300,
    },
}


class Section(BaseModel):
    """A table of the workspace file; a key that no one reads is refused, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(Section):
    """[data]"""

    root: Path | None = None
    layout: Layout = "auto"
    category: str | None = None
    roi: Rectangle | None = None


class ModelSettings(Section):
    """[model]"""

    backbone: Backbone = "wide_resnet50_2"
    size: int = 256
    weights: Path | None = None


class TrainSettings(Section):
    """[train]; what is None comes from the preset, and `levels` from `default_levels`."""

    preset: Preset = "paper"
    epochs_amplify: int | None = None
    epochs_distill: int | None = None
    batch: int | None = None
    lr: float | None = None
    schedule: Schedule | None = None
    steps_amplify: int | None = None
    steps_distill: int | None = None
    seed: int = 0
    holdout: float = 0.1
    amplify: bool = True
    hard_patches: int = Field(10, ge=0)
    levels: Levels | None = None
    textures: Path | None = None
    device: str = "auto"


def default_levels(preset: str, backbone: str, amplify: bool) -> Levels:
    """What the levels count in the map where nobody names it: the paper's `equal`, but where `standardised` was worse
    with no data set at hand and better with some, over three seeds (benchmarks/results/scores-*.md)."""
    better = preset == "short" and backbone == "efficientnet_lite0" and amplify
    return "standardised" if better else "equal"


class ThresholdSettings(Section):
    """[threshold]"""

    false_rejects: float = Field(FALSE_REJECTS, gt=0, lt=1)


class CalibrateSettings(Section):
    """[calibrate]"""

    method: Literal["minmax", "percentile", "entropy", "mse"] = "percentile"
    percentile: float = Field(99.999, gt=0, le=100)
    images: int = Field(16, ge=1)
    anomalies: bool = False


class BuildSettings(Section):
    """[build]"""

    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    quantise: tuple[str, ...] | None = Field(None, min_length=1)
    backend: str = "auto"
    batch: int = Field(1, ge=1)
    threads: int = Field(0, ge=0, le=MOST_THREADS)
    opt_level: int | None = Field(None, ge=0, le=5)
    workspace_mb: int | None = Field(None, ge=1)
    zero_copy: bool = False


class BenchSettings(Section):
    """[bench]"""

    repeats: int = Field(200, ge=1)
    warmup: int = Field(20, ge=0)
    budget_ms: float | None = Field(None, gt=0)
