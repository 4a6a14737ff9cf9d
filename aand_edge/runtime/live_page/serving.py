"""The server in a thread of its own, with a bound on who may knock. Imports uvicorn."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, cast

import uvicorn
import wsproto  # noqa: F401  (uvicorn takes it by name, when the first browser comes)
from uvicorn.protocols.http.h11_impl import H11Protocol

from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.live_page.board import Board
from aand_edge.runtime.live_page.server import application
from aand_edge.runtime.live_page.showing import Showing

MOST_CONNECTIONS = 64
BACKLOG = 64  # that wait to be let in
REQUEST_S = 20.0  # a connection without a socket lives no longer: answers are small, and browsers open another
CLOSING_S = 2.0  # one that is closed, and whose other end takes nothing
FAREWELL_S, ENDING_S = 0.2, 0.4  # together under `stopping.SINKS_S`


class Doors:
    """The open connections; used in the server's event loop alone, but for `slam`."""

    def __init__(self) -> None:
        self._opened: dict[asyncio.Transport, float] = {}
        self._closing: dict[asyncio.Transport, float] = {}

    def admit(self, transport: asyncio.Transport) -> bool:
        """Whether there is room for one more."""
        self.look_after()
        self._opened[transport] = time.monotonic()
        return len(self._opened) <= MOST_CONNECTIONS

    def look_after(self) -> None:
        """Forget those that are gone, and cut those that take too long."""
        now = time.monotonic()
        for transport, opened in list(self._opened.items()):
            if transport.get_extra_info("socket").fileno() == -1:
                self._opened.pop(transport)
                self._closing.pop(transport, None)
            elif transport.is_closing():
                if now - self._closing.setdefault(transport, now) > CLOSING_S:
                    transport.abort()
            elif isinstance(transport.get_protocol(), H11Protocol) and now - opened > REQUEST_S:
                transport.abort()

    def slam(self) -> None:
        """Cut them all."""
        for transport in list(self._opened):
            transport.abort()


class _Connection(H11Protocol):
    def __init__(self, doors: Doors, **more: Any) -> None:
        super().__init__(**more)
        self._doors = doors

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._doors.admit(transport):
            transport.abort()


class PageServer(AbstractContextManager["PageServer"]):
    """Serves on a bound socket until it is left."""

    def __init__(self, bound: socket.socket, board: Board, access: Access) -> None:
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # standard error is the command line's
        self._showing, self._bound, self._doors = Showing(board), bound, Doors()
        self._loop: asyncio.AbstractEventLoop | None = None
        app = application(self._showing, access, f"aand-edge-{bound.getsockname()[1]}", self._look_around)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=cast(Any, partial(_Connection, self._doors)),
                ws="wsproto",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws_max_size=4096,
                ws_per_message_deflate=False,  # JPEG is dense already
                backlog=BACKLOG,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="aand-page", daemon=True)

    def __enter__(self) -> PageServer:
        self._bound.listen(BACKLOG)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._showing.end)
        end = time.monotonic() + FAREWELL_S
        while self._showing.watchers and self.is_alive and time.monotonic() < end:
            time.sleep(0.01)
        self._call(self._doors.slam)
        self._server.should_exit = True
        self._thread.join(ENDING_S)
        self._server.force_exit = True
        self._bound.close()

    @property
    def is_alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        self._server.run(sockets=[self._bound])

    def _look_around(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._doors.look_after()

    def _call(self, function: Any) -> None:
        if self._loop is not None and self.is_alive:
            self._loop.call_soon_threadsafe(function)
