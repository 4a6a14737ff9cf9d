"""A counterpart that hangs: a camera, a broker, a web server, a PLC."""

from __future__ import annotations

import selectors
import socket
import threading


class Mute:
    """Takes connections and never says a word, but for an echo of the first so many messages.

    heard   every message, in order
    """

    def __init__(self, echoes: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.taken: list[socket.socket] = []
        self.heard: list[bytes] = []
        self._echoes = echoes
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def coil(self) -> list[bool]:
        """What was written to a coil, where it passes for a PLC: function code 5, an address, FF00 or 0000."""
        return [message[10] == 0xFF for message in self.heard if message[7] == 5]

    def _work(self) -> None:
        with selectors.DefaultSelector() as ready:
            for each in (self._server, self._woken):
                ready.register(each, selectors.EVENT_READ)
            while True:
                found = [key.fileobj for key, _ in ready.select()]
                if self._woken in found:
                    return
                if self._server in found:
                    self.taken.append(self._server.accept()[0])
                    ready.register(self.taken[-1], selectors.EVENT_READ)
                for each in [each for each in self.taken if each in found]:
                    if not self._hear(each):
                        ready.unregister(each)

    def _hear(self, client: socket.socket) -> bool:
        """False where it has hung up."""
        try:
            message = client.recv(4096)
        except OSError:
            return False
        if message:
            self.heard.append(message)
            if len(self.heard) <= self._echoes:
                client.send(message)
        return bool(message)

    def close(self) -> None:
        self._wake.close()
        self._thread.join()
        for each in (self._server, self._woken, *self.taken):
            each.close()
