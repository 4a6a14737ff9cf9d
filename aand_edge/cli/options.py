"""Options that several commands share: one name, one meaning, everywhere.

None always means "as the workspace file says".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aand_edge.errors import UsageError

if TYPE_CHECKING:
    from pydantic import ValidationError

    from aand_edge.artifacts import Precision as PrecisionName
    from aand_edge.config import Section

SectionT = TypeVar("SectionT", bound="Section")

Data = Annotated[Path | None, typer.Option("--data", help="Folder of pictures: a category, or a root with --category.")]
Layout = Annotated[str | None, typer.Option("--layout", help="auto, mvtec, visa, mvtec3d or folder.")]
CategoryName = Annotated[str | None, typer.Option("--category", help="Which category under --data.")]
Model = Annotated[str | None, typer.Argument(help="A model's name or folder; the newest of the workspace by default.")]
Precision = Annotated[str | None, typer.Option("--precision", help="fp32, fp16 or int8.")]
Backend = Annotated[
    str | None, typer.Option("--backend", help="auto, tensorrt, tensorrt-rtx, openvino, onnxruntime or triton.")
]
FalseRejects = Annotated[
    float | None, typer.Option("--false-rejects", help="Share of good parts that may be rejected, 0 … 1.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Frame = Annotated[str | None, typer.Option("--frame", help="WIDTHxHEIGHT of the camera's frame, resized in the graph.")]
Batch = Annotated[
    int | None, typer.Option("--batch", min=1, help="Frames a call, from cameras that share the engine; 1 by default.")
]
Quantise = Annotated[
    str | None, typer.Option("--quantise", help="Regions of an int8 engine, with commas; `inspect GRAPH` lists them.")
]
Locked = Annotated[bool, typer.Option("--locked", help="Refuse a calibration table that was made for something else.")]


def checked_precision(name: str) -> PrecisionName:
    """The precision of that name. Raises UsageError where it cannot be built."""
    if name == "fp32":
        return "fp32"
    if name == "fp16":
        return "fp16"
    if name == "int8":
        return "int8"
    raise UsageError(f"There is no precision '{name}'", "Choose fp32, fp16 or int8.")


def parse_regions(quantise: str | None, settings: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """ "teacher2,bottleneck" → its parts; the workspace's where nothing was given."""
    if quantise is None:
        return settings
    regions = tuple(part.strip() for part in quantise.split(",") if part.strip())
    if not regions:
        raise UsageError("--quantise names no region", "Name some, or take --precision fp16.")
    try:
        from aand_edge.export.regions import checked_regions
    except ModuleNotFoundError:  # a device has no onnx, and takes the graph as it was written
        return regions
    return checked_regions(regions)


def refused_value(error: ValidationError, command: str, **options: str) -> UsageError:
    """What a section of the workspace file would not take, told by the option that gave it.

    options   of the fields that are not called as their option is
    """
    first = error.errors()[0]
    name = str(first["loc"][0])
    option = options.get(name, name.replace("_", "-"))
    return UsageError(f"--{option} {first['input']}: {first['msg']}", f"See `aand-edge {command} --help`.")


def overridden(settings: SectionT, chosen: dict[str, Any], command: str, **options: str) -> SectionT:
    """A section of the workspace file with the options that were given; none of its fields is left open then.

    Raises UsageError for a value that cannot be; `options` as in `refused_value`.
    """
    from pydantic import ValidationError

    given = {key: value for key, value in chosen.items() if value is not None}
    try:
        return type(settings).model_validate({**settings.model_dump(), **given})
    except ValidationError as error:
        raise refused_value(error, command, **options) from None


def refuse_without(needed: str, given: bool, **options: object) -> None:
    """Raises UsageError, naming it, for an option that was given although without `needed` it has no effect."""
    for name, value in options.items():
        if value is not None and not given:
            raise UsageError(f"--{name.replace('_', '-')} needs {needed}", "Add that, or leave the option out.")


def refuse_with(chosen: str, **options: object) -> None:
    """Raises UsageError, naming it, for an option that was given although beside `chosen` it has no effect."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} has no effect with {chosen}", "Leave one of them out.")


def check_folder(folder: Path) -> None:
    """Raises UsageError where a folder is none or cannot be written: before the work, and without making it."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"{there} is a file, and no folder", "Name a folder.")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{there} cannot be written", "Name another folder, or give it to this user.")
