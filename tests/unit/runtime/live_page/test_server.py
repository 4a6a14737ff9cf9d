"""The page over the wire: what it gives, to whom, and that no browser can hold anything up."""

from __future__ import annotations

import builtins
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import resources
from typing import Any

import cv2
import numpy as np
import pytest
import websocket

from aand_edge.config import PageSettings
from aand_edge.errors import AandEdgeError, MissingDependencyError
from aand_edge.runtime.events import Noticed, SourceChanged, SourceState, now
from aand_edge.runtime.live_page import server, serving, showing, watcher
from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.sinks.live_page import LivePageSink
from tests.page_client import Watch, ask, is_picture, is_state
from tests.runtime_events import inspected

TOKEN = "0123456789abcdef"
UPGRADE = [
    "GET /live HTTP/1.1",
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
]


def page(token: str | None = None, port: int = 0) -> LivePageSink:
    return LivePageSink(PageSettings(port=port), Access(token, frozenset()), "engine", {"cam1": True})


@pytest.fixture
def sink() -> Iterator[LivePageSink]:
    with page() as opened:
        yield opened


@pytest.fixture
def guarded() -> Iterator[LivePageSink]:
    with page(TOKEN) as opened:
        yield opened


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_cut(line: socket.socket) -> bool:
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


def test_every_file_is_served_with_what_keeps_foreign_scripts_out(sink: LivePageSink) -> None:
    names = [each.name for each in resources.files(server.__package__).joinpath("static").iterdir()]
    for name in ["", *(name for name in names if not name.endswith(".html"))]:
        answer = ask(sink.port, f"/{name}")
        assert answer.status == 200, name
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "server" not in answer.headers
        again = ask(sink.port, f"/{name}", If_None_Match=answer.headers["ETag"])
        assert (again.status, again.content) == (304, b"")
    for path in ("/login.html", "/nothing.js", "/../pyproject.toml", "/%2e%2e%2fserver.py", "/a/b", "/page.html"):
        assert ask(sink.port, path).status == 404, path
    assert ask(sink.port, "/", "POST").status == 405


def test_the_files_ask_nobody_else_for_anything_and_hold_no_script_in_the_page() -> None:
    for each in resources.files(server.__package__).joinpath("static").iterdir():
        text = each.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), each.name
        if each.name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*src)|<style|\son\w+=|\sstyle=", text), each.name
        if each.name.endswith(".js"):
            assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text), each.name


def test_state_and_pictures_reach_a_browser(sink: LivePageSink) -> None:
    sink.append(inspected(0, camera="<img src=x>"))
    sink.append(Noticed("warning", "<script>", now()))
    with Watch(sink.port) as watch:
        state, _ = watch.until(is_state)
        assert [each["name"] for each in state["cameras"]] == ["cam1", "<img src=x>"]
        assert (state["parts"], state["part_count"], state["ended"]) == ([[0.9, 0.5, 1, 1]], 1, False)
        assert [each["text"] for each in state["notices"]] == ["<script>"]
        head, data = watch.until(is_picture)
        assert (head["number"], head["rejected"], head["camera"]) == (0, True, "<img src=x>")
        drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert drawn is not None
        assert drawn.shape == (48, 64, 3)
        sink.append(SourceChanged("cam1", SourceState.LOST, "the cable was pulled", now()))
        state, _ = watch.until(lambda message: is_state(message) and message["cameras"][0]["state"] == "lost")
        assert (state["parts"], state["notices"]) == ([], [])  # they were told before
        sink.append(inspected(1))
        assert watch.until(is_picture)[0]["number"] == 1


def test_rejected_parts_are_shown_small_and_large_on_demand(sink: LivePageSink) -> None:
    sink.append(inspected(0, size=(600, 800)))
    sink.append(inspected(1, rejected=False))
    with Watch(sink.port) as watch:
        head, data = watch.until(lambda message: message.get("kind") == "reject")
        assert (head["id"], head["number"], head["regions"]) == (0, 0, 1)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (180, 240, 3)
        watch.say("large 0")
        head, data = watch.until(lambda message: message.get("kind") == "large")
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (600, 800, 3)
        watch.say("large 7")
        assert watch.until(lambda message: message.get("kind") == "gone")[0]["id"] == 7


def test_nothing_is_drawn_that_nobody_sees(sink: LivePageSink, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = showing.draw_live
    monkeypatch.setattr(showing, "draw_live", lambda event: drawn.append(event.number) or draw(event))
    sink.append(inspected(0, rejected=False))
    time.sleep(0.3)
    assert not drawn
    with Watch(sink.port) as watch:
        watch.until(is_picture)
        with Watch(sink.port) as other:
            other.until(is_picture)
            assert drawn == [0]  # once for both
        watch.say("hidden")
        watch.until(is_state)
        watch.until(is_state)
        sink.append(inspected(1, rejected=False))
        watch.until(is_state)
        watch.until(is_state)
        assert drawn == [0]
        watch.say("visible")
        assert watch.until(is_picture)[0]["number"] == 1


def test_a_picture_that_cannot_be_drawn_is_told_once_and_the_page_goes_on(
    sink: LivePageSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    draw = showing.draw_live
    monkeypatch.setattr(showing, "draw_live", lambda event: 1 / 0)
    sink.append(inspected(0, rejected=False))
    with Watch(sink.port) as watch:
        for _ in range(4):
            watch.until(is_state)
        monkeypatch.setattr(showing, "draw_live", draw)
        watch.until(is_picture)
    assert caplog.text.count("could not be drawn") == 1


def test_a_browser_that_says_nothing_gets_little_and_is_let_go(
    sink: LivePageSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "GONE_S", 1.0)
    for number in range(20):
        sink.append(inspected(number))
    with Watch(sink.port, acknowledge=False) as watch:
        taken = 0
        while isinstance(watch.next(), tuple):
            taken += 1
        assert taken == watcher.AHEAD
    wait_for(lambda: not sink._server._showing.watchers)


@pytest.mark.parametrize("word", ["", "large", "large -1", "large 99999999999999999999", "<script>", b"\x00"])
def test_a_browser_that_says_what_is_not_ours_is_closed(sink: LivePageSink, word: str | bytes) -> None:
    with Watch(sink.port) as watch:
        watch.until(is_state)
        watch.say(word) if isinstance(word, str) else watch.say_bytes(word)
        while isinstance(message := watch.next(), tuple):
            pass
        assert message == watcher.STRANGE
    with Watch(sink.port) as watch:
        watch.say("x" * 5000)
        while isinstance(message := watch.next(), tuple):
            pass
        assert message in (1009, None)
    wait_for(lambda: not sink._server._showing.watchers)


def test_a_browser_that_vanishes_is_cleaned_up(sink: LivePageSink) -> None:
    watch = Watch(sink.port)
    watch.until(is_state)
    assert len(sink._server._showing.watchers) == 1
    watch.line.close()  # without a word
    wait_for(lambda: not sink._server._showing.watchers)


def test_one_browser_too_many_is_told_so(sink: LivePageSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_WATCHERS", 2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Watch(sink.port)).until(is_state)
        with Watch(sink.port) as watch:
            assert watch.next() == server.TOO_MANY
    wait_for(lambda: not sink._server._showing.watchers)
    with Watch(sink.port) as watch:
        watch.until(is_state)


def test_connections_that_ask_for_nothing_are_few_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(serving, "REQUEST_S", 0.3)
    monkeypatch.setattr(server, "LOOK_S", 0.1)
    with page() as sink, ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", sink.port), timeout=10)) for _ in range(30)
        ]
        silent[0].sendall(b"GET / HTTP/1.1\r\n")
        for each in silent:
            assert is_cut(each)
        assert ask(sink.port).status == 200
        with Watch(sink.port) as watch:
            begun = time.monotonic()
            while time.monotonic() - begun < 0.6:  # a socket lives on
                watch.until(is_state)


def test_a_foreign_name_or_page_gets_nothing(sink: LivePageSink) -> None:
    answer = ask(sink.port, Host="evil.com")
    assert answer.status == 421
    assert b"[run.page]" in answer.content
    assert answer.headers["Content-Type"].startswith("text/plain")
    for options in ({"host": "evil.com"}, {"origin": "http://evil.com"}):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            Watch(sink.port, **options)
    with Watch(sink.port, origin=f"http://127.0.0.1:{sink.port}") as watch:
        watch.until(is_state)


def test_without_the_token_there_is_a_form_and_no_socket(
    guarded: LivePageSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WRONG_TOKEN_S", 0.01)
    answer = ask(guarded.port)
    assert answer.status == 401
    assert b'action="token"' in answer.content
    for cookie in (None, f"aand-edge-{guarded.port}={TOKEN}", f"aand-edge-{guarded.port}=x"):
        with Watch(guarded.port, cookie=cookie) as watch:
            assert watch.next() == server.NO_TOKEN
    for wrong in (
        ask(guarded.port, "/?token=wrong"),
        ask(guarded.port, "/token", "POST", "token=wrong"),
        ask(guarded.port, "/token", "POST", ""),
        ask(guarded.port, "/token", "POST", "token=" + "x" * 5000),
    ):
        assert (wrong.status, wrong.headers["Location"]) == (303, "./#wrong")
        assert "Set-Cookie" not in wrong.headers


def test_no_guess_goes_round_the_pause(guarded: LivePageSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on the socket's address nor as a cookie, which is made from the token."""
    monkeypatch.setattr(server, "WRONG_TOKEN_S", 0.2)
    with Watch(guarded.port, path=f"/live?token={TOKEN}") as watch:
        assert watch.next() == server.NO_TOKEN
    wrong = f"aand-edge-{guarded.port}={Access('x' * 16, frozenset()).cookie}"
    begun = time.monotonic()
    with Watch(guarded.port, cookie=wrong) as watch:
        assert watch.next() == server.NO_TOKEN
    assert ask(guarded.port, Cookie=wrong).status == 401
    assert time.monotonic() - begun >= 0.4


def test_with_the_token_a_cookie_is_set_and_opens_the_rest(guarded: LivePageSink) -> None:
    for answer in (ask(guarded.port, f"/?token={TOKEN}"), ask(guarded.port, "/token", "POST", f"token={TOKEN}")):
        assert (answer.status, answer.headers["Location"]) == (303, "./")
        cookie = answer.headers["Set-Cookie"]
        assert TOKEN not in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
    value = cookie.partition(";")[0]
    assert ask(guarded.port, Cookie=value).status == 200
    with Watch(guarded.port, cookie=value) as watch:
        watch.until(is_state)


def test_a_port_in_use_is_told_in_one_sentence(sink: LivePageSink) -> None:
    with pytest.raises(AandEdgeError, match=rf"127\.0\.0\.1:{sink.port} \(Address already in use\)") as raised:
        page(port=sink.port).__enter__()
    assert raised.value.exit_code == 1
    with pytest.raises(AandEdgeError, match=r"cannot be served at nowhere\.invalid"):
        LivePageSink(PageSettings(host="nowhere.invalid"), Access(TOKEN, frozenset()), "engine", {}).__enter__()


def test_a_missing_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.endswith("live_page.serving"):
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"needs uvicorn.*aand-edge\[web\]"):
        page().__enter__()


def test_it_ends_quickly_and_says_so_whoever_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        with page() as sink:
            for number in range(20):
                sink.append(inspected(number, size=(900, 900)))
            watch = stack.enter_context(Watch(sink.port))
            watch.until(is_state)
            deaf = socket.create_connection(("127.0.0.1", sink.port))  # takes nothing, for ever
            stack.enter_context(deaf)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            deaf.sendall("\r\n".join([*UPGRADE, "", ""]).encode())
            wait_for(lambda: len(sink._server._showing.watchers) == 2)
            begun = time.monotonic()
        assert time.monotonic() - begun < 1
        assert watch.until(lambda message: message.get("ended", False))
        assert watch.next() in (watcher.OVER, None)
    wait_for(lambda: not [each for each in threading.enumerate() if each.name.startswith("aand-page")])
    with pytest.raises(AandEdgeError, match="server has ended"):
        sink.append(inspected(0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sink.port))
