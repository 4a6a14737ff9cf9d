"""Who looks at a loop while it runs: a browser at its page, and Prometheus; they come, and leave without a word."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException

from benchmarks.soak.faults import Counts

HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ACK = b"\x81\x83\0\0\0\0ack"  # a text frame, masked with zeros (RFC 6455): the page sends on what is answered
STAY_S, PAUSE_S = 5.0, 5.0


class Visitors:
    """A thread for as long as it is entered. `seen`: bytes of the page that came."""

    def __init__(self, page: int | None, metrics: int, counts: Counts) -> None:
        """page, metrics: their ports; page None: there is none"""
        self.seen = 0
        self._page, self._metrics, self._counts = page, metrics, counts
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._come_and_go, name="visitors")

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._leave.set()
        self._thread.join()

    def _come_and_go(self) -> None:
        while not self._leave.is_set():
            with suppress(OSError, HTTPException):  # the loop may be too busy for them, cut them off, or be gone
                urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=STAY_S).read()
                self._counts["metrics read"] += 1
            if self._page is not None:
                with suppress(OSError):
                    self._watch(self._page)
            self._leave.wait(PAUSE_S)

    def _watch(self, port: int) -> None:
        before = self.seen
        with socket.create_connection(("127.0.0.1", port), STAY_S) as browser:
            browser.sendall(HANDSHAKE.format(port=port).encode())
            end = time.monotonic() + STAY_S
            while time.monotonic() < end and not self._leave.is_set() and (data := browser.recv(1 << 16)):
                self.seen += len(data)
                browser.sendall(ACK)
        self._counts["page watched"] += self.seen - before > 10_000  # pictures came
