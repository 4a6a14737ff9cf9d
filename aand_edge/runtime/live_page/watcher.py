"""One browser that watches: it gets the newest of everything, at the pace at which it says that it had the last.

It says `ack` after each message, `hidden` and `visible` as its tab is, and `large ID` to see a rejected part. It gets
the state as JSON text every `STATE_S`, and pictures as bytes: the length of a JSON head in four bytes, big-endian, the
head, a JPEG file.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from aand_edge.runtime.live_page.showing import STATE_S, Showing

AHEAD = 6  # messages that a browser may still have to say ack to
GONE_S = 10.0  # a browser that says nothing for so long has gone
OVER, STRANGE = 1001, 1008  # WebSocket close codes (RFC 6455, 7.4.1)


class Watcher:
    """Runs until the browser leaves, falls silent, or the run ends."""

    def __init__(self, socket: WebSocket, showing: Showing) -> None:
        self.visible = True
        self._socket, self._showing = socket, showing
        self._changed = asyncio.Event()
        self._waiting, self._heard = 0, time.monotonic()
        self._told: dict[str, Any] | None = None
        self._parts = self._notices = 0
        self._shown: dict[str, int] = {}
        self._rejects = -1
        self._asked: int | None = None
        self._code = OVER

    def wake(self) -> None:
        """There is something new, or there may be."""
        self._changed.set()

    async def run(self) -> None:
        """Raises nothing where the browser vanishes: that is how it leaves."""
        hearing = asyncio.create_task(self._hear())
        self._showing.enter(self)
        try:
            await self._tell(hearing)
        except (asyncio.TimeoutError, WebSocketDisconnect, OSError):
            pass
        finally:
            self._showing.leave(self)
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            with suppress(Exception):
                await asyncio.wait_for(self._socket.close(self._code), STATE_S)

    async def _tell(self, hearing: asyncio.Task[None]) -> None:
        while not hearing.done() and time.monotonic() - self._heard < GONE_S:
            self._changed.clear()
            ended = self._showing.ended
            if ended or (self._told is not self._showing.state and self._has_room):
                await self._state(ended)
            if ended:
                return
            await self._pictures()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), STATE_S)

    @property
    def _has_room(self) -> bool:
        return self._waiting < AHEAD

    async def _state(self, ended: bool) -> None:
        board = self._showing.board
        self._parts, parts = board.parts_after(self._parts)
        self._notices, notices = board.notices_after(self._notices)
        news = {"ended": ended, "part_count": self._parts, "parts": parts, "notices": notices}
        self._told = self._showing.state
        await self._send(json.dumps({**self._told, **news}))

    async def _pictures(self) -> None:
        """What is new of each camera, then of the rejected parts, then what was asked for."""
        if self._asked is not None and self._has_room:
            await self._large(self._asked)
        for camera, drawn in list(self._showing.pictures.items()) if self.visible else ():
            if self._has_room and self._shown.get(camera) != drawn.number:
                self._shown[camera] = drawn.number
                await self._send(_message({"kind": "camera", **drawn.part}, drawn.jpeg))
        for reject in self._showing.board.rejects():
            if self._has_room and reject.id > self._rejects and reject.small is not None:
                self._rejects = reject.id
                await self._send(_message({"kind": "reject", "id": reject.id, **reject.part}, reject.small))

    async def _large(self, number: int) -> None:
        self._asked = None
        found = await self._showing.large(number)
        if found is None:
            await self._send(_message({"kind": "gone", "id": number}, b""))
        else:
            reject, drawn = found
            await self._send(_message({"kind": "large", "id": number, **reject.part}, drawn))

    async def _send(self, message: str | bytes) -> None:
        """Raises TimeoutError where the browser takes nothing."""
        self._waiting += 1
        sent = self._socket.send_text(message) if isinstance(message, str) else self._socket.send_bytes(message)
        await asyncio.wait_for(sent, GONE_S)

    async def _hear(self) -> None:
        """Ends where the browser leaves, or says what none of ours says."""
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            word, _, rest = (message.get("text") or "").partition(" ")
            self._heard = time.monotonic()
            if word == "ack":
                self._waiting = max(0, self._waiting - 1)
            elif word in ("hidden", "visible"):
                self.visible = word == "visible"
            elif word == "large" and rest.isdecimal() and len(rest) < 20:
                self._asked = int(rest)
            else:
                self._code = STRANGE
                break
            self.wake()
        self.wake()


def _message(head: dict[str, Any], jpeg: bytes) -> bytes:
    text = json.dumps(head).encode()
    return len(text).to_bytes(4, "big") + text + jpeg
