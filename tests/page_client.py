"""A browser's side of the live page, for tests: a request, and the socket."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import websocket

State = dict[str, Any]


def ask(
    port: int, path: str = "/", method: str = "GET", body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    """An answer, with its body in `content`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.content = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


class Watch:
    """An open socket of the page, which acknowledges what it takes."""

    def __init__(self, port: int, acknowledge: bool = True, path: str = "/live", **options: Any) -> None:
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=10, **options)
        self.line = self._socket.sock
        self._acknowledge = acknowledge

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError, websocket.WebSocketException):
            self._socket.close()
        self.line.close()  # which the client forgets where the server was first

    def say(self, text: str) -> None:
        self._socket.send(text)

    def say_bytes(self, data: bytes) -> None:
        self._socket.send_binary(data)

    def next(self) -> tuple[State, bytes] | int | None:
        """A message's JSON and what follows it; the code where the server closes; None where the line is cut."""
        try:
            opcode, data = self._socket.recv_data()
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")
        if self._acknowledge:
            with suppress(OSError):  # it may have gone since
                self._socket.send("ack")
        if opcode == websocket.ABNF.OPCODE_TEXT:
            return json.loads(data), b""
        length = int.from_bytes(data[:4], "big")
        return json.loads(data[4 : 4 + length]), data[4 + length :]

    def until(self, wanted: Callable[[State], bool], seconds: float = 10) -> tuple[State, bytes]:
        """The first message that is wanted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.next()
            assert isinstance(message, tuple), f"the server left: {message}"
            if wanted(message[0]):
                return message
        raise AssertionError("it did not come")


def is_state(message: State) -> bool:
    return "cameras" in message


def is_picture(message: State) -> bool:
    return message.get("kind") == "camera"
