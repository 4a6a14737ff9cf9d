"""Draws what is watched, while it is watched, and tells the watchers. Lives in the server's event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from aand_edge.runtime.events import Inspected
from aand_edge.runtime.live_page.board import Board
from aand_edge.runtime.live_page.pictures import LARGE, SMALL, Reject, describe, draw_live

LOG = logging.getLogger("aand_edge.runtime")

PICTURES_S = 12.0  # of each camera a second, at most
REST = 2.0  # after drawing, for so many times as long: never more than a third of a core
STATE_S = 0.25


class Watching(Protocol):
    """What is asked of `watcher.Watcher`."""

    visible: bool

    def wake(self) -> None: ...


@dataclass(frozen=True)
class Drawn:
    """A camera's picture, drawn once for all watchers. `number` counts pictures of all cameras."""

    number: int
    part: dict[str, Any]
    jpeg: bytes


class Showing:
    """`run` is a task of the server; everything else is called from its event loop."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.state: dict[str, Any] = board.state()
        self.pictures: dict[str, Drawn] = {}
        self.ended = False
        self.watchers: set[Watching] = set()
        self._wanted = asyncio.Event()
        self._pen = ThreadPoolExecutor(1, "aand-page-pen")
        self._drawn, self._failing = 0, False

    def enter(self, watcher: Watching) -> None:
        """Somebody watches."""
        self.watchers.add(watcher)
        self.state = self.board.state()
        self._wanted.set()

    def leave(self, watcher: Watching) -> None:
        """As `enter`; with the last of them nothing is drawn any more."""
        self.watchers.discard(watcher)
        if not self.watchers:
            self._wanted.clear()

    def end(self) -> None:
        """The run is over: watchers are told, and leave."""
        self.ended, self.state = True, self.board.state()
        self._wake()

    async def run(self) -> None:
        """Draw and tell, for as long as the server runs."""
        try:
            await asyncio.gather(self._tell(), self._paint())
        finally:
            self._pen.shutdown()

    async def large(self, number: int) -> tuple[Reject, bytes] | None:
        """A rejected part's picture at full size; None where it is no longer kept."""
        for reject in self.board.rejects():
            if reject.id == number:
                drawn = await asyncio.get_running_loop().run_in_executor(self._pen, reject.draw, LARGE)
                return reject, drawn
        return None

    async def _tell(self) -> None:
        while True:
            await self._wanted.wait()
            self.state = self.board.state()
            self._wake()
            await asyncio.sleep(STATE_S)

    async def _paint(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            began = time.monotonic()
            if any(each.visible for each in self.watchers):
                try:
                    self.pictures = await loop.run_in_executor(self._pen, self._draw, self.pictures)
                    self._failing = False
                except Exception:  # a picture that cannot be drawn must not end the page
                    if not self._failing:
                        LOG.error("the live page could not be drawn", exc_info=True)
                    self._failing = True
                self._wake()
            took = time.monotonic() - began
            await asyncio.sleep(max(1 / PICTURES_S - took, REST * took))

    def _draw(self, before: Mapping[str, Drawn]) -> dict[str, Drawn]:
        """Those of the cameras; what the rejected parts have not got yet is drawn beside them."""
        for reject in self.board.rejects():
            if reject.small is None:
                reject.small = reject.draw(SMALL)
        return {event.camera: self._one(event, before.get(event.camera)) for event in self.board.newest()}

    def _one(self, event: Inspected, before: Drawn | None) -> Drawn:
        if before is not None and before.part["number"] == event.number:
            return before
        self._drawn += 1
        return Drawn(self._drawn, describe(event), draw_live(event))

    def _wake(self) -> None:
        for each in list(self.watchers):
            each.wake()
