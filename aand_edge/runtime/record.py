"""The first sink: verdicts as JSON lines, and an overlay picture of every rejected part."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO

import cv2
import numpy as np

from aand_edge.engines.base import Outputs
from aand_edge.errors import UsageError
from aand_edge.runtime.pictures import Frame
from aand_edge.runtime.verdict import Verdict, overlay

VERDICTS = "verdicts.jsonl"


class Recorder:
    """Writes into a folder, a line at a time; without a folder it writes nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lines: IO[str] | None = None

    def __enter__(self) -> Recorder:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lines = (self._folder / VERDICTS).open("x", encoding="utf-8")
            except FileExistsError:
                raise UsageError(
                    f"{self._folder} holds the verdicts of another run", "Take another folder for --out."
                ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lines is not None:
            self._lines.close()

    def append(self, frame: Frame, verdict: Verdict, outputs: Outputs) -> None:
        """Record one frame's verdict."""
        if self._folder is None or self._lines is None:
            return
        line = {
            "number": frame.number,
            "name": frame.name,
            "captured": frame.captured,
            "time": frame.time.isoformat(timespec="milliseconds"),
            **verdict.to_dict(),
        }
        self._lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._lines.flush()  # a line that was judged survives whatever happens next
        if verdict.rejected:
            picture = np.ascontiguousarray(frame.picture[:, :, ::-1])
            drawn = overlay(picture, outputs.anomaly_map[0], verdict.threshold)
            target = self._folder / f"{frame.number:06}-{Path(frame.name).stem}.jpg"
            target.write_bytes(cv2.imencode(".jpg", drawn)[1].tobytes())
