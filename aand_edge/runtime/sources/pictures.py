"""A picture, a folder or a glob of pictures: each a frame, in order, none lost; `follow` goes on with new ones."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import replace
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from aand_edge.data.layouts import kinds_in, pictures_in
from aand_edge.data.pictures import read_picture
from aand_edge.errors import UsageError
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options

LOOK_S = 0.2  # between two looks into a folder that is followed


class PictureSource:
    """Files. One of a followed folder is read when its size was the same in two looks: then it is whole."""

    live = False

    def __init__(self, where: str, options: SourceOptions) -> None:
        """Raises UsageError where there is no picture."""
        refuse_options("picture files", options, "follow", "rate")
        self._folder = Path(where) if options.follow else None
        if self._folder is not None:
            if not self._folder.is_dir():
                raise UsageError(
                    f"{where} is no folder that could be followed", "Name a folder, or leave --follow out."
                )
            pictures_in(self._folder)  # one that may not be read is told now; later it is away for a while
        self._waiting = deque([] if self._folder else find_pictures(where))
        self._seen: set[Path] = set()
        self._sizes: dict[Path, int] = {}
        self._interval = 1 / options.rate if options.rate else 0.0

    def open(self) -> None:
        """Files need no opening."""

    def read(self) -> Grab | None:
        if not self._waiting and self._folder is not None:
            time.sleep(LOOK_S)
            try:
                self._waiting.extend(self._new(self._folder))
            except OSError as error:
                return replace(Grab.nothing(), away=f"The folder {self._folder} is away ({error.strerror or error})")
            if not self._waiting:
                return Grab.nothing()
        if not self._waiting:
            return None
        time.sleep(self._interval)
        path = self._waiting.popleft()
        return Grab.now(np.ascontiguousarray(read_picture(path)[:, :, ::-1]), str(path))

    def close(self) -> None:
        """Files need no closing."""

    def _new(self, folder: Path) -> list[Path]:
        """Files that are new and have stopped growing. Raises OSError while the folder is away."""
        folder.stat()
        there = pictures_in(folder)
        sizes = {path: size for path in there if path not in self._seen and (size := _size(path))}
        whole = [path for path, size in sizes.items() if self._sizes.get(path) == size]
        self._sizes = sizes
        self._seen = (self._seen & set(there)) | set(whole)  # what was taken away is forgotten
        return whole


def _size(path: Path) -> int:
    """In bytes; 0 where the file is taken away this moment."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def find_pictures(source: str) -> list[Path]:
    """The files that a path, a folder or a glob names. Raises UsageError where there are none."""
    path = Path(source)
    if path.is_file():
        return [path]
    found = pictures_in(path) if path.is_dir() else sorted(Path(each) for each in glob(source, recursive=True))
    files = [each for each in found if each.is_file()]
    if not files:
        raise _no_pictures(source)
    return files


def _no_pictures(source: str) -> UsageError:
    hint = "Name a picture, a folder, a glob, a video, or a camera such as rtsp://…"
    if re.fullmatch(r"/dev/video\d+", source):
        return UsageError(f"{source} is the device of a camera", f"Name it v4l2://{source}.")
    if kinds_in(Path(source)):
        inner = f"{source.rstrip('/')}/*/*"
        return UsageError(f"{source} holds folders, and no pictures itself", f"Name one of them, or '{inner}'.")
    if Path(source).is_dir():
        return UsageError(f"{source} holds no pictures", hint)
    if Path(source).exists():
        return UsageError(f"{source} is neither a picture nor a folder of pictures", hint)
    return UsageError(f"{source} matches no file" if has_magic(source) else f"There is no {source}", hint)
