"""A network camera that is killed and brought back: pictures over http, and RTSP from GStreamer's own server; read
through FFmpeg in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from aand_edge.runtime.events import SourceChanged
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.sources import camera as module
from aand_edge.runtime.sources.camera import Camera, Item
from tests import rtsp_server

SYSTEM_PYTHON = "/usr/bin/python3"


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


class HttpServer:
    shape = (120, 160, 3)

    def __init__(self, port: int = 0) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Pictures)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://me:secret@127.0.0.1:{self.port}/video"

    def kill(self) -> None:
        self._server.ended = True  # type: ignore[attr-defined]
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class RtspServer:
    shape = (240, 320, 3)

    def __init__(self, port: int = 0) -> None:
        self.port = port or _free_port()
        program = [SYSTEM_PYTHON, str(Path(rtsp_server.__file__)), str(self.port)]
        self._process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "serving\n"

    @property
    def address(self) -> str:
        return f"rtsp://me:secret@127.0.0.1:{self.port}/line"

    def kill(self) -> None:
        """As a camera whose plug is pulled: nothing is said to those who watch."""
        self._process.kill()
        self._process.communicate()


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _has_gstreamer() -> bool:
    """Debian's gir1.2-gst-rtsp-server-1.0, for the system's own Python."""
    asked = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return not subprocess.run([SYSTEM_PYTHON, "-c", asked], capture_output=True, timeout=30).returncode
    except OSError:
        return False


def wait_for(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize(
    "serve",
    [
        HttpServer,
        pytest.param(
            RtspServer,
            marks=pytest.mark.skipif(not _has_gstreamer(), reason="needs GStreamer's RTSP server and PyGObject"),
        ),
    ],
)
def test_a_stream_that_dies_is_opened_again_when_it_is_back(
    serve: type[HttpServer] | type[RtspServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.05, 0.5))
    items: list[Item] = []

    def frames() -> list[Frame]:
        return [item for item in items if isinstance(item, Frame)]

    def states() -> list[str]:
        return [item.state.value for item in items if isinstance(item, SourceChanged)]

    server = serve()
    camera = Camera("line", server.address, items.append)
    camera.start()
    try:
        wait_for(lambda: len(frames()) > 5, "the stream gives pictures")
        server.kill()
        wait_for(lambda: {"lost", "stalled"} & set(states()) != set(), "the loss is told")
        seen = len(frames())
        server = serve(server.port)
        wait_for(lambda: len(frames()) > seen + 5, "the stream is back")
    finally:
        camera.stop()
        server.kill()
    numbers = [frame.number for frame in frames()]
    assert numbers == sorted(set(numbers))
    assert frames()[0].picture.shape == serve.shape
    assert (frames()[0].picture != frames()[-1].picture).any()
    told = repr([item for item in items if isinstance(item, SourceChanged)])
    assert "secret" not in told
    assert "***@127.0.0.1" in told
