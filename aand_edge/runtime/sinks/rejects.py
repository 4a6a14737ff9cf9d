"""Pictures of rejected parts, bounded in size and age."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.errors import UsageError
from aand_edge.runtime.events import Event, Inspected
from aand_edge.runtime.sinks.payload import is_rejected
from aand_edge.runtime.sinks.shelf import MEGABYTE, Shelf, open_folder, unwritable
from aand_edge.runtime.verdict import overlay

OURS = re.compile(r"\d{8}T\d{9}Z-.+-\d{6,}-\d+\.\d{4}(-overlay\.jpg|\.png|\.jpg|-map\.npy)")
UNFINISHED = ".part"
JPEG_QUALITY = 95


class RejectsSink:
    """Saves each rejected part as `TIME-CAMERA-NUMBER-SCORE`: `-overlay.jpg`, the plain picture and the map.

    folder         made if need be
    quota_mb       the size of all pictures together in 10⁶ bytes; the oldest are deleted first
    max_age_days   older pictures are deleted
    picture        how the plain picture is saved: png keeps every bit, jpg is a tenth of it; None saves none
    save_map       the raw anomaly map as float16 (H', W')

    A part counts as rejected where the gate was told so, and where its verdict says so but came too late. A file is
    there whole or not at all; `append` raises OSError where the disk is full.
    """

    name = "rejects"

    def __init__(
        self,
        folder: Path,
        quota_mb: float = 1024,
        max_age_days: float = 30,
        picture: Literal["png", "jpg"] | None = "jpg",
        save_map: bool = False,
    ) -> None:
        if quota_mb <= 0 or max_age_days <= 0:
            raise UsageError(
                "Pictures of rejected parts need room and time", "Make quota_mb and max_age_days positive."
            )
        self._folder = folder
        self._quota = int(quota_mb * MEGABYTE)
        self._max_age = timedelta(days=max_age_days)
        self._picture = picture
        self._save_map = save_map

    def __enter__(self) -> RejectsSink:
        """Raises UsageError where the folder cannot be written."""
        open_folder(self._folder)
        try:
            for torn in self._folder.glob(f"*{UNFINISHED}"):
                torn.unlink()
            ours = [path for path in self._folder.iterdir() if OURS.fullmatch(path.name)]
            self._shelf = Shelf(self._quota, ours)
            self._shelf.make_room(0)
        except OSError as error:
            raise unwritable(self._folder, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held back."""

    def append(self, event: Event) -> None:
        """Save a rejected part. Raises OSError where that cannot be."""
        if not isinstance(event, Inspected):
            return
        self._shelf.expire((event.frame.time - self._max_age).timestamp())
        if not is_rejected(event):
            return
        files = self._files(event)
        size = sum(len(content) for content in files.values())
        if size > self._shelf.quota:
            raise UsageError(
                f"The pictures of one part take {size / MEGABYTE:.1f} MB", "Make quota_mb larger than that."
            )
        self._shelf.make_room(size)
        for suffix, content in files.items():
            self._write(self._folder / (stem(event) + suffix), content)

    def _files(self, event: Inspected) -> dict[str, bytes]:
        """What is saved of a part, by the end of the file's name."""
        picture = event.frame.picture
        drawn = overlay(picture, event.anomaly_map, event.verdict.threshold)
        files = {"-overlay.jpg": _encoded(".jpg", drawn)}
        if self._picture is not None:
            files[f".{self._picture}"] = _encoded(f".{self._picture}", picture)
        if self._save_map:
            buffer = io.BytesIO()
            np.save(buffer, event.anomaly_map.astype(np.float16))
            files["-map.npy"] = buffer.getvalue()
        return files

    def _write(self, target: Path, content: bytes) -> None:
        part = target.with_name(target.name + UNFINISHED)
        try:
            part.write_bytes(content)
            part.replace(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._shelf.add(target)


def stem(event: Inspected) -> str:
    """What a part's files are called."""
    return f"{event.frame.stem}-{event.verdict.score:.4f}"


def _encoded(suffix: str, picture: NDArray[np.uint8]) -> bytes:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    return cv2.imencode(suffix, picture, parameters)[1].tobytes()
