"""`tcp://127.0.0.1:9100`: a line of text is a part; what the line says is the part's id, and it may be empty."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress

from aand_edge.errors import UsageError
from aand_edge.runtime.triggers.line import Line, part_id

CLIENTS = 8
LONGEST = 4096  # bytes without a line's end: no one who knows what to send
LEAVE_S = 0.3


class TcpLine(Line):
    """Listens on a port of this machine; several may call.

    reply   each line is answered with `ok`, or with `busy` where too many parts wait for a frame
    port    0 takes a free one, to be read from `port`
    """

    def __init__(self, host: str, port: int, reply: bool = False) -> None:
        super().__init__()
        self.host, self.port, self._reply = host, port, reply

    def _open(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._server = socket.create_server((self.host, self.port), family=family)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"No trigger can be heard at {self.host}:{self.port} ({reason})", "Take an address of this machine."
            ) from None
        self.port = self._server.getsockname()[1]
        self._clients: dict[socket.socket, bytes] = {}  # and what each has sent of a line
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
                if self._server in found:
                    self._accept(ready)
                for client in [each for each in self._clients if each in found]:
                    if not self._read(client):
                        self._drop(client, ready)
            for client in list(self._clients):
                self._drop(client, ready)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        try:
            client, _ = self._server.accept()
        except OSError:
            return  # it is gone already
        if len(self._clients) >= CLIENTS:
            client.close()
            return
        client.setblocking(False)
        self._clients[client] = b""
        ready.register(client, selectors.EVENT_READ)

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
        self._clients[client] = rest
        return bool(data) and len(rest) < LONGEST

    def _drop(self, client: socket.socket, ready: selectors.BaseSelector) -> None:
        ready.unregister(client)
        del self._clients[client]
        client.close()
