"""`tcp://127.0.0.1:9100`: a line of text is a part; what the line says is the part's id, and it may be empty."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from aand_edge.runtime.events import Noticed, now
from aand_edge.runtime.ports import unavailable
from aand_edge.runtime.triggers.line import Line, part_id

CLIENTS = 8
# A client that loses its power says nothing: it is asked after so many seconds of silence, and let go 15 s later. What
# is under way to it, an answer say, keeps the questions back, and has a limit of its own, in milliseconds.
KEEP_ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
TELL_S = 60.0  # who connects again and again is told of once in that time
LONGEST = 4096  # bytes without a line's end: no one who knows what to send
LEAVE_S = 0.3


class TcpLine(Line):
    """Listens on a port of this machine; several may call. One too many takes the place of the longest silent.

    tell    hears of that
    reply   each line is answered with `ok`, or with `busy` where too many parts wait for a frame
    port    0 takes a free one, to be read from `port`
    """

    def __init__(
        self, host: str, port: int, reply: bool = False, tell: Callable[[Noticed], None] = lambda notice: None
    ) -> None:
        super().__init__()
        self.host, self.port, self._reply, self._tell = host, port, reply, tell
        self._told_at = float("-inf")

    def _open(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._server = socket.create_server((self.host, self.port), family=family)
        except (OSError, OverflowError) as error:
            raise unavailable("No trigger can be heard", self.host, self.port, error) from None
        self.port = self._server.getsockname()[1]
        self._clients: dict[socket.socket, bytes] = {}  # what each has sent of a line; the longest silent first
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._work, name="aand-trigger-tcp", daemon=True)
        self._thread.start()

    def _close(self) -> None:
        self._wake.close()
        self._thread.join(LEAVE_S)

    def _work(self) -> None:
        with selectors.DefaultSelector() as ready, self._server, self._woken:
            for each in (self._server, self._woken):
                each.setblocking(False)
                ready.register(each, selectors.EVENT_READ)
            while True:
                found = [key.fileobj for key, _ in ready.select()]
                if self._woken in found:
                    break
                for client in [each for each in self._clients if each in found]:
                    if not self._read(client):
                        self._drop(client, ready)
                if self._server in found:  # after what was said, so that no one who speaks has to go
                    self._accept(ready)
            for client in list(self._clients):
                self._drop(client, ready)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        try:
            client, _ = self._server.accept()
        except OSError:
            return  # it is gone already
        if len(self._clients) >= CLIENTS:
            self._make_room(ready)
        client.setblocking(False)
        _keep_alive(client)
        self._clients[client] = b""
        ready.register(client, selectors.EVENT_READ)

    def _make_room(self, ready: selectors.BaseSelector) -> None:
        self._drop(next(iter(self._clients)), ready)
        if time.monotonic() - self._told_at > TELL_S:
            self._told_at = time.monotonic()
            text = (
                f"The trigger tcp://{self.host}:{self.port} has {CLIENTS} clients: one more takes the place of the "
                "longest silent. See whether something connects for each part and does not hang up"
            )
            self._tell(Noticed("warning", text, now()))

    def _read(self, client: socket.socket) -> bool:
        """Take what a client sent; False where it is to be dropped."""
        try:
            data = client.recv(LONGEST)
        except BlockingIOError:
            return True
        except OSError:
            return False
        moment = time.monotonic()
        *lines, rest = (self._clients[client] + data).split(b"\n")
        for line in lines:
            taken = self._called(moment, part_id(line))
            if self._reply:
                with suppress(OSError):  # who does not read the answers does without
                    client.send(b"ok\n" if taken else b"busy\n")
        if data:
            del self._clients[client]  # it is the last again
        self._clients[client] = rest
        return bool(data) and len(rest) < LONGEST

    def _drop(self, client: socket.socket, ready: selectors.BaseSelector) -> None:
        ready.unregister(client)
        del self._clients[client]
        client.close()


def _keep_alive(client: socket.socket) -> None:
    """So that the system finds out who is gone. It may lack some of the options, and the client may be gone already."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):
                client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
