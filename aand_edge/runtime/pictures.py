"""The first source: a picture, a folder or a glob of pictures, each a frame, in order and none dropped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aand_edge.data.layouts import pictures_in
from aand_edge.data.pictures import read_picture
from aand_edge.errors import UsageError


@dataclass(frozen=True)
class Frame:
    """One frame of a source.

    picture   uint8 (H, W, 3), RGB
    captured  seconds on the monotonic clock
    time      the same moment on the wall clock, UTC
    """

    number: int
    name: str
    picture: NDArray[np.uint8]
    captured: float
    time: datetime


def find_pictures(source: str) -> list[Path]:
    """The files that a path, a folder or a glob names. Raises UsageError where there are none."""
    path = Path(source.removeprefix("file://"))
    if path.is_file():
        return [path]
    found = pictures_in(path) if path.is_dir() else sorted(Path(each) for each in glob(str(path), recursive=True))
    files = [each for each in found if each.is_file()]
    if not files:
        what = "matches no file" if has_magic(str(path)) else "is neither a picture nor a folder of pictures"
        raise UsageError(f"{source} {what}", "Name a picture, a folder or a glob.")
    return files


def read_frames(files: list[Path]) -> Iterator[Frame | Exception]:
    """Each file as a frame, or the error that says why it is none: one bad file must not end an inspection."""
    for number, path in enumerate(files):
        try:
            picture = read_picture(path)
        except Exception as error:
            yield error
            continue
        yield Frame(number, str(path), picture, time.monotonic(), datetime.now(timezone.utc))
