"""`run --page`: where the page is served, and what ends the command before a frame is taken."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from aand_edge.engines.build import build_engine
from tests.commands import Command
from tests.graphs import tiny_request

SOURCE = "test://?rate=0&count=3&parts=2&size=64"


@pytest.fixture(autouse=True)
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


def test_the_page_is_served_beside_the_loop_and_told_where(command: Command) -> None:
    done = command("run", SOURCE, "--page", "0")
    assert done.code == 0
    assert "The live page is at http://127.0.0.1:" in done.err
    assert "token" not in done.err


def test_beyond_this_machine_a_token_is_made_and_told_once_and_never_recorded(command: Command, tmp_path: Path) -> None:
    done = command("run", SOURCE, "--page", "0.0.0.0:0", "--out", "first")
    assert done.code == 0
    token = (tmp_path / "page.token").read_text().strip()
    assert stat.S_IMODE((tmp_path / "page.token").stat().st_mode) == 0o600
    assert done.err.count(token) == 1
    assert token not in (tmp_path / "first/verdicts.jsonl").read_text()
    again = command("run", SOURCE, "--page", "0.0.0.0:0")
    assert again.code == 0
    assert token not in again.err


def test_a_place_of_the_option_goes_before_that_of_the_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "aand-edge.toml").write_text('[run.page]\nhost = "127.0.0.2"\nport = 1\n')
    assert "http://127.0.0.2:" in command("run", SOURCE, "--page", "0").err
    assert "http://127.0.0.1:" in command("run", SOURCE, "--page", "127.0.0.1:0").err


@pytest.mark.parametrize("place", ["", "x", "70000", "127.0.0.1:", "127.0.0.1:x", "-1"])
def test_what_is_no_place_is_a_usage_error(command: Command, place: str) -> None:
    done = command("run", SOURCE, "--page", place)
    assert done.code == 2
    assert done.err.strip() == f"error: --page {place} is no place. Give a port, or HOST:PORT, say 0.0.0.0:8765."


def test_a_port_in_use_ends_it_before_a_frame_is_taken(command: Command, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = command("run", SOURCE, "--page", str(other.getsockname()[1]), "--out", "out")
    assert done.code == 1  # it may be free later: a service is started again
    assert "Address already in use" in done.err
    assert done.out == ""
    assert not (tmp_path / "out").exists()


def test_an_address_of_another_machine_leaves_no_token_behind(command: Command, tmp_path: Path) -> None:
    done = command("run", SOURCE, "--page", "192.0.2.1:8765")
    assert done.code == 1
    assert "error: The page cannot be served at 192.0.2.1:8765 (Cannot assign requested address)" in done.err
    assert "token" not in done.err
    assert not (tmp_path / "page.token").exists()
