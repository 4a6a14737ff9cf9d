"""A network camera that is killed and brought back: pictures over http, through FFmpeg in a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from aand_edge.runtime.events import SourceChanged
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.sources import camera as module
from aand_edge.runtime.sources.camera import Camera, Item


class Pictures(BaseHTTPRequestHandler):
    """Motion JPEG, as most network cameras offer it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not getattr(self.server, "ended", False):
            picture = np.full((120, 160, 3), 20 + number % 200, np.uint8)
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + data + b"\r\n")
            except OSError:
                return
            number += 1
            time.sleep(0.02)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


class Server:
    def __init__(self, port: int = 0) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Pictures)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def kill(self) -> None:
        self._server.ended = True  # type: ignore[attr-defined]
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def wait_for(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_a_stream_that_dies_is_opened_again_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.05, 0.5))
    items: list[Item] = []

    def frames() -> list[Frame]:
        return [item for item in items if isinstance(item, Frame)]

    def states() -> list[str]:
        return [item.state.value for item in items if isinstance(item, SourceChanged)]

    server = Server()
    camera = Camera("line", f"http://me:secret@127.0.0.1:{server.port}/video", items.append)
    camera.start()
    try:
        wait_for(lambda: len(frames()) > 5, "the stream gives pictures")
        server.kill()
        wait_for(lambda: {"lost", "stalled"} & set(states()) != set(), "the loss is told")
        seen = len(frames())
        server = Server(server.port)
        wait_for(lambda: len(frames()) > seen + 5, "the stream is back")
    finally:
        camera.stop()
        server.kill()
    numbers = [frame.number for frame in frames()]
    assert numbers == sorted(set(numbers))
    assert frames()[0].picture.shape == (120, 160, 3)
    told = repr([item for item in items if isinstance(item, SourceChanged)])
    assert "secret" not in told
    assert "***@127.0.0.1" in told
