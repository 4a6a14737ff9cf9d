"""Visitors come again, whatever the loop answers them."""

from __future__ import annotations

import socket
import threading
from collections import Counter

import pytest

from benchmarks.soak import visitors
from benchmarks.soak.visitors import Visitors

CUT_OFF = b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"


def test_an_answer_that_is_cut_off_does_not_end_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "PAUSE_S", 0.01)
    came, server = threading.Semaphore(0), socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        for _ in range(2):
            reader, _ = server.accept()
            with reader:
                reader.recv(1 << 16)
                reader.sendall(CUT_OFF)
            came.release()

    threading.Thread(target=answer, daemon=True).start()
    with server, Visitors(None, server.getsockname()[1], Counter()):
        assert came.acquire(timeout=20)
        assert came.acquire(timeout=20)
