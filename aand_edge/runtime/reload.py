"""Settings and engine are read again while the loop runs, when their file changed or SIGHUP asks for it.

A settings file is read when two looks found it the same: editors empty it for a moment and fill it, or take it away
and put another in its place.

A server's model is asked for on SIGHUP only. Where the server drops the version in use, the engine fails, is opened
afresh and so is the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from aand_edge.config import RunSettings, Workspace, named_cameras
from aand_edge.engines.load import EnginePlace
from aand_edge.errors import AandEdgeError
from aand_edge.runtime.events import Noticed, now
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import LoopSettings
from aand_edge.runtime.sources.camera import Camera

LOOK_S = 0.5
LIVE = ("threshold", "deadline_ms", "fail_safe")

Mark = tuple[int, int]  # when a file was written, ns, and its size


class Reloader:
    """Called between two frames with the settings that hold; returns those to go on with.

    cameras   those of the file; the command line's keep the region that they were given there
    given     fields of LoopSettings that the command line named, which go before the file
    started   what the file said when the loop was put together; None: nobody tells what takes effect at the next start
    seen      marks of file and engine from before they were read: loading takes seconds, and they may change meanwhile
    """

    def __init__(
        self,
        folder: Path,
        file: Path,
        engine: LiveEngine,
        cameras: list[Camera],
        given: Mapping[str, Any],
        tell: Callable[[Noticed], None],
        seen: tuple[Mark, Mark] | None = None,
        started: RunSettings | None = None,
    ) -> None:
        self._folder, self._file, self._engine, self._cameras = folder, file, engine, cameras
        self._given, self._tell, self._started = given, tell, started
        self._asked, self._ask_server, self._looked = False, False, time.monotonic()
        self._settings_mark, self._engine_mark = seen or (mark(file), mark(engine.path))
        self._settings_found = mark(file)

    def request(self) -> None:
        """Look at once, and read the settings whether they changed or not; from a signal handler too."""
        self._asked = True

    def __call__(self, settings: LoopSettings) -> LoopSettings:
        swapped = self._engine.swap()
        if isinstance(swapped, Exception):
            self._told("warning", f"The new engine is not taken, the old one goes on: {swapped}")
        elif swapped is not None:
            self._told("info", f"Changed to the new build of {swapped.name}, threshold {swapped.threshold.value:.4f}")
        if not self._asked and time.monotonic() - self._looked < LOOK_S:
            return settings
        asked, self._asked, self._looked = self._asked, False, time.monotonic()
        # What a server has changed is only seen by asking it.
        self._ask_server = self._ask_server or (asked and not isinstance(self._engine.path, Path))
        found = mark(self._engine.path)
        if (found != self._engine_mark or self._ask_server) and self._engine.load_next():
            self._engine_mark, self._ask_server = found, False
        last, self._settings_found = self._settings_found, mark(self._file)
        if asked or self._settings_mark != self._settings_found == last:
            self._settings_mark = self._settings_found
            return self._read(settings)
        return settings

    def _read(self, settings: LoopSettings) -> LoopSettings:
        try:
            if not self._file.stat().st_size:
                self._told("warning", f"The settings stay as they are: {self._file} is empty")
                return settings
        except OSError:
            self._told("warning", f"The settings stay as they are: {self._file} is not there")
            return settings
        try:
            found = Workspace.open(self._folder).settings.run
            named = named_cameras(found.cameras, of_file=True)
        except (AandEdgeError, OSError) as error:
            self._told("warning", f"The settings stay as they are: {error}")
            return settings
        read = loop_settings(found, self._given)
        changed = [new for new, old in zip(_words(read), _words(settings), strict=True) if new != old]
        for camera in self._cameras:
            if camera.name in named and camera.roi != (roi := named[camera.name].roi):
                camera.roi = roi
                changed.append(f"{camera.name} looks at {_region(roi)}")
        self._told("info", f"Settings read again: {', '.join(changed) or 'nothing changed for the loop'}")
        if waiting := self._waiting(found):
            text = "what changed takes effect when the loop is started again"
            self._told("warning", f"[run] {', '.join(waiting)}: {text}")
        return read

    def _waiting(self, found: RunSettings) -> list[str]:
        """Keys that say something else than when the loop was put together, and are not read while it runs."""
        if self._started is None:
            return []
        return [
            name
            for name in RunSettings.model_fields
            if name not in LIVE
            and (name != "cameras" or self._cameras)  # the command line's are others
            and _fixed(getattr(found, name)) != _fixed(getattr(self._started, name))
        ]

    def _told(self, level: Literal["info", "warning"], text: str) -> None:
        self._tell(Noticed(level, text, now()))


def loop_settings(run: RunSettings, given: Mapping[str, Any]) -> LoopSettings:
    """The file's settings, where the command line said nothing else."""
    return replace(LoopSettings(run.threshold, run.deadline_ms, run.fail_safe), **given)


def _words(settings: LoopSettings) -> tuple[str, str, str]:
    """What the fields say to a person."""
    return (
        "the engine's own threshold" if settings.threshold is None else f"threshold {settings.threshold:g}",
        "no deadline" if settings.deadline_ms is None else f"deadline {settings.deadline_ms:g} ms",
        f"parts that failed or came late {'are rejected' if settings.fail_safe == 'reject' else 'pass'}",
    )


def _region(roi: tuple[int, int, int, int] | None) -> str:
    return "the whole picture" if roi is None else "{2}x{3}+{0}+{1}".format(*roi)


def _fixed(value: Any) -> Any:
    """A key's value without what is read while the loop runs."""
    if isinstance(value, tuple):
        return tuple(each.model_copy(update={"roi": None}) for each in value)
    return value


def mark(path: EnginePlace) -> Mark:
    """What changes when a file does; zeros where there is none."""
    if not isinstance(path, Path):
        return 0, 0
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size
