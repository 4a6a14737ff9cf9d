"""A workspace: a folder, and what its file says."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from aand_edge.artifacts import one_line
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

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and no file", "Give that folder another name.")
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
    except (ValueError, RecursionError) as error:  # also of numbers and nests beyond Python's own limits
        raise UsageError(f"{path} is no TOML file: {error}", _mending(text, str(error))) from None
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        # A key that is misspelt is missing too, and that alone would not help.
        raise _wrong_line(path, min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")) from None


def _mending(text: str, error: str) -> str:
    """The next step; a path of Windows is the usual cause where there is a backslash."""
    line = re.search(r"at line (\d+)", error)
    if line and "\\" in text.split("\n")[int(line[1]) - 1]:
        return r"""Write a path with backslashes in '…', or each as \\ in "…"."""
    return "Mend it, or write one with `aand-edge init`."


def _wrong_line(path: Path, error: ErrorDetails) -> UsageError:
    if error["type"] == "extra_forbidden":
        return _unknown_key(path, *error["loc"])
    key = ".".join(part for part in error["loc"] if isinstance(part, str))
    return UsageError(f"{path}: {key}{_number(error['loc'])}: {error['msg']}", "Mend that line.")


def _number(place: Sequence[str | int]) -> str:
    """Which of several, as people count."""
    numbers = [part + 1 for part in place if isinstance(part, int)]
    of = [f" of camera {numbers.pop(0)}"] if numbers and "cameras" in place else []
    return "".join([*of, *(f", value {each}" for each in numbers)])


def _unknown_key(path: Path, *place: str | int) -> UsageError:
    *tables, key = place
    known = list(_section_at(tables).model_fields)
    near = get_close_matches(str(key), known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"It may be one of: {', '.join(known)}."
    if not tables:
        return UsageError(f"{path} has a section '{one_line(str(key))}', which there is not", hint)
    section = ".".join(table for table in tables if isinstance(table, str))
    known_as = one_line(str(key))
    return UsageError(f"{path}: section [{section}]{_number(tables)} has a key '{known_as}', which there is not", hint)


def _section_at(place: list[str | int]) -> type[Section]:
    """The class of the table that lies there; a number stands for one of several, as in [[run.cameras]]."""
    section: type[Section] = Settings
    for name in (each for each in place if isinstance(each, str)):
        annotation = section.model_fields[name].annotation
        candidates = get_args(annotation) or (annotation,)  # Section | None, tuple[Section, ...] or a Section
        section = next(each for each in candidates if isinstance(each, type) and issubclass(each, Section))
    return section
