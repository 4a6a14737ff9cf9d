"""A token where others can reach the page, and no foreign name or page that speaks for it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from aand_edge.config import PageSettings
from aand_edge.errors import UsageError
from aand_edge.runtime.live_page.access import VARIABLE, Access, make_token, open_access

TOKEN = "0123456789abcdef"


def test_this_machine_alone_needs_no_token_unless_one_is_named(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert open_access(tmp_path, PageSettings(host=host), {}).token is None
        assert make_token(tmp_path, PageSettings(host=host), {}) is None
    assert not list(tmp_path.iterdir())
    assert open_access(tmp_path, PageSettings(), {VARIABLE: TOKEN}).token == TOKEN
    named = PageSettings(token_file=Path("mine"))
    made = make_token(tmp_path, named, {})
    assert made is not None
    assert open_access(tmp_path, named, {}).token == made


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "line3.plant.local"])
def test_a_token_is_made_once_and_kept_from_others(tmp_path: Path, host: str) -> None:
    page = PageSettings(host=host)
    with pytest.raises(UsageError, match="needs a token"):
        open_access(tmp_path, page, {})
    made = make_token(tmp_path, page, {})
    assert made is not None
    assert len(made) == 32
    assert make_token(tmp_path, page, {}) is None
    assert open_access(tmp_path, page, {}).token == made
    assert (tmp_path / "page.token").stat().st_mode & 0o077 == 0


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    page = PageSettings(host="0.0.0.0")
    assert make_token(tmp_path, page, {VARIABLE: TOKEN}) is None
    assert not list(tmp_path.iterdir())
    make_token(tmp_path, page, {})
    assert open_access(tmp_path, page, {VARIABLE: TOKEN}).token == TOKEN


def test_what_cannot_be_a_token_is_told_with_the_next_step(tmp_path: Path) -> None:
    page = PageSettings(host="0.0.0.0")
    with pytest.raises(UsageError, match=r"has 5 letters.*16 or more"):
        open_access(tmp_path, page, {VARIABLE: "plant"})
    with pytest.raises(UsageError, match=r"cannot be written.*AAND_EDGE_PAGE_TOKEN"):
        make_token(tmp_path / "nowhere", page, {})
    (tmp_path / "page.token").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        open_access(tmp_path, page, {})


def test_the_token_or_the_cookie_opens_and_nothing_else() -> None:
    access = Access(TOKEN, frozenset())
    assert access.opens(TOKEN, None)
    assert access.opens(None, access.cookie)
    assert access.opens("wrong", access.cookie)
    for token in (None, "", TOKEN[:-1], access.cookie, "ü\udcff"):
        assert not access.opens(token, None)
    for cookie in ("", TOKEN, access.cookie.upper()):
        assert not access.opens(None, cookie)
    assert TOKEN not in access.cookie
    assert Access(None, frozenset()).opens(None, None)


def test_a_name_that_others_can_point_here_is_not_this_machine(tmp_path: Path) -> None:
    access = open_access(tmp_path, PageSettings(names=("Line3.plant",)), {})
    own = socket.gethostname()
    for host in ("127.0.0.1:8765", "localhost", "[::1]:80", "192.168.0.7:1", "line3.PLANT:9", own, f"{own}.local:8"):
        assert access.is_own_host(host), host
    for host in ("", "evil.com", "evil.com:8765", "127.0.0.1.evil.com", "[::1", "localhost.evil.com", "a@b", "[evil]"):
        assert not access.is_own_host(host), host


def test_only_the_page_itself_opens_its_socket() -> None:
    access = Access(None, frozenset())
    for origin in (None, "http://10.0.0.1:8765", "https://10.0.0.1:8765"):
        assert access.is_own_origin(origin, "10.0.0.1:8765")
    for origin in ("null", "", "http://evil.com", "http://10.0.0.1", "http://10.0.0.1:80", "http://[evil"):
        assert not access.is_own_origin(origin, "10.0.0.1:8765")
