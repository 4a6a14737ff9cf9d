"""A workspace: a folder, and what its file says."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aand_edge.config.run import RunSettings
from aand_edge.config.sections import (
    BenchSettings,
    BuildSettings,
    CalibrateSettings,
    DataSettings,
    ModelSettings,
    Section,
    ThresholdSettings,
    TrainSettings,
)
from aand_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "aand-edge.toml"


class Settings(Section):
    """The whole file."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    calibrate: CalibrateSettings = CalibrateSettings()
    build: BuildSettings = BuildSettings()
    bench: BenchSettings = BenchSettings()
    run: RunSettings = RunSettings()


@dataclass(frozen=True)
class Workspace:
    """A folder and what its file says."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, folder: Path | None = None) -> Workspace:
        """The workspace in `folder` (the current one by default); a folder without a file has the defaults.

        Raises UsageError, naming the key, where the file is wrong.
        """
        root = folder or Path.cwd()
        path = root / FILE
        return cls(root, _read(path) if path.is_file() else Settings())

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def calib(self) -> Path:
        return self.root / "calib"

    @property
    def engines(self) -> Path:
        return self.root / "engines"

    @property
    def benchmarks(self) -> Path:
        return self.root / "benchmarks"

    def resolve(self, path: Path) -> Path:
        """A path of the file, which is relative to the workspace."""
        return path if path.is_absolute() else self.root / path

    def resolve_optional(self, path: Path | None) -> Path | None:
        """As `resolve`, where there is a path."""
        return None if path is None else self.resolve(path)


def _read(path: Path) -> Settings:
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no TOML file: {error}", "Mend it, or write one with `aand-edge init`.") from None


def parse(text: str, path: Path) -> Settings:
    """Settings of a file's text. Raises UsageError naming the key that is wrong; `path` is only told."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return Settings.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML file: {error}", "Mend it, or write one with `aand-edge init`.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {key}: {first['msg']}", "Mend that line.") from None
