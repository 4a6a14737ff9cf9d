"""What someone beside the conveyor looks at: `http://HOST:PORT/`."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from aand_edge.config import PageSettings
from aand_edge.errors import AandEdgeError, MissingDependencyError
from aand_edge.runtime.events import Event
from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.live_page.board import Board
from aand_edge.runtime.ports import unavailable

if TYPE_CHECKING:
    from aand_edge.runtime.live_page.serving import PageServer


class LivePageSink:
    """Gathers events, and shows them to browsers from threads of its own; it draws nothing that nobody watches.

    engine    its name
    cameras   name → whether it is live, so that silence is a fault
    pinned    the command line named a threshold, which goes before the workspace file's
    """

    name = "page"

    def __init__(
        self, settings: PageSettings, access: Access, engine: str, cameras: Mapping[str, bool], pinned: bool = False
    ) -> None:
        self._settings, self._access = settings, access
        self.port = settings.port
        self.board = Board(engine, cameras, pinned)

    def __enter__(self) -> LivePageSink:
        """Raises what `unavailable` gives for a port, MissingDependencyError without starlette and uvicorn."""
        serve = _serving()
        bound = _bind(self._settings.host, self._settings.port)
        self.port = bound.getsockname()[1]
        self._server = serve(bound, self.board, self._access).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def append(self, event: Event) -> None:
        """Take an event to the board. Raises AandEdgeError where nobody serves it any more."""
        self.board.append(event)
        if not self._server.is_alive:
            raise AandEdgeError("The page's server has ended", "Start the loop again.")

    @property
    def address(self) -> str:
        """For a browser; where every address of this machine serves it, by the machine's name."""
        host = self._settings.host
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"


def check_page(page: PageSettings) -> None:
    """Raises what a page that cannot be served there does when it is opened."""
    _serving()
    _bind(page.host, page.port).close()


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that an earlier run left a moment ago
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise unavailable("The page cannot be served", host, port, error) from None
    return bound


def _serving() -> type[PageServer]:
    try:
        from aand_edge.runtime.live_page.serving import PageServer
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"The page needs {error.name}, which is not installed", 'Install it with `pip install "aand-edge[web]"`.'
        ) from None
    return PageServer
