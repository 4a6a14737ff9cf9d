"""The live page in a real browser, beside `aand-edge run` as a plant starts it; one camera ends, one is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aand_edge.config import PageSettings
from aand_edge.engines.build import build_engine
from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.sinks.live_page import LivePageSink
from tests.chromium import open_chromium
from tests.graphs import tiny_request
from tests.integration.test_stream import HttpServer
from tests.runtime_events import inspected

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

THRESHOLD = "0.5"
RUN = "from aand_edge.cli import main; main()"
WATCH_TROUBLE = """
const trouble = document.querySelector("[data-camera=net] .trouble");
new MutationObserver(() => {
  if (!trouble.hidden) window.firstTrouble ??= trouble.querySelector("strong").textContent;
}).observe(trouble, { attributes: true, childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    opened = open_chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def camera() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def line(
    browser: Chrome, camera: HttpServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A running loop, with the page open in the browser."""
    folder = tmp_path_factory.mktemp("line")
    build_engine(tiny_request(folder))
    sources = ["top=test://?rate=30&count=150&parts=6&size=64", f"net={camera.address}"]
    options = ["--page", "0", "--out", "out", "--threshold", THRESHOLD]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "run", *sources, *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    told = ""
    while not (found := re.search(r"http://127\.0\.0\.1:\d+/", told)):
        told = process.stderr.readline()
        assert told, "the loop ended"
    browser.get(found[0])
    yield process, folder
    process.kill()
    process.communicate()


def wait_for(browser: Chrome, script: str, seconds: float = 20) -> Any:
    """The first value of a JavaScript expression that holds."""
    end = time.monotonic() + seconds
    while not (value := browser.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"{script}, while the page says {text(browser, 'headline')!r}"
        time.sleep(0.05)
    return value


def text(browser: Chrome, name: str) -> str:
    return str(browser.execute_script(f"return document.getElementById('{name}').textContent"))


def picture(browser: Chrome, camera: str) -> tuple[int, str]:
    number, drawn = browser.execute_script(
        f"const canvas = document.querySelector('[data-camera={camera}] canvas');"
        "return [Number(canvas.dataset.number ?? -1), canvas.toDataURL()]"
    )
    return number, drawn


def judged(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "out/verdicts.jsonl").read_text("utf-8").splitlines()
    return [each for each in map(json.loads, lines) if each["event"] == "inspected"]


def test_frames_move(browser: Chrome, line: object) -> None:
    for camera in ("top", "net"):
        wait_for(browser, f"document.querySelector('[data-camera={camera}] canvas')?.dataset.number > 0")
        number, drawn = picture(browser, camera)
        wait_for(browser, f"document.querySelector('[data-camera={camera}] canvas').dataset.number > {number}")
        later, moved = picture(browser, camera)
        assert later > number
    assert moved != drawn  # every picture of this one has a grey level of its own
    wait_for(browser, "document.getElementById('headline').textContent.match(/^Inspecting|rejected$/)")


def test_the_thresholds_mark_runs_through_no_number(browser: Chrome, line: object) -> None:
    wait_for(browser, "document.querySelector('[data-camera=top] .limit').textContent.startsWith('threshold 0.5')")
    for width in (1600, 400):
        browser.set_window_size(width, 900)
        edges = browser.execute_script(
            "return ['.score', '.mark', '.limit', '.meter'].map((each) => {"
            "const { left, right } = document.querySelector('[data-camera=top] ' + each).getBoundingClientRect();"
            "return [left, right]; })"
        )
        (_, score_ends), (mark, mark_ends), (limit, limit_ends), (_, meter_ends) = edges
        assert score_ends <= mark, width
        assert mark_ends <= limit, width
        assert limit_ends <= meter_ends, width
    browser.set_window_size(1600, 900)


def test_a_lost_camera_shows_within_two_seconds(browser: Chrome, line: object, camera: HttpServer) -> None:
    browser.execute_script(WATCH_TROUBLE)
    camera.kill()
    first = wait_for(browser, "window.firstTrouble")
    assert re.fullmatch(r"(LOST|STALLED|SILENT|CONNECTING) [01]\ss", first), first
    wait_for(browser, "document.getElementById('headline').textContent.startsWith('Camera net is')")
    assert browser.execute_script("return document.getElementById('status').dataset.level") == "bad"
    assert "secret" not in browser.page_source


def test_the_slider_tells_how_many_verdicts_would_turn(browser: Chrome, line: tuple[object, Path]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    wait_for(browser, "document.querySelector('[data-camera=top]').dataset.state === 'ended'")
    parts = judged(line[1])
    wait_for(browser, f"document.getElementById('judged').textContent === '{len(parts)}'")
    assert text(browser, "remembered") == str(len(parts))
    assert text(browser, "rejected") == str(sum(part["rejected"] for part in parts))
    slider = browser.find_element(By.ID, "preview")
    slider.click()
    slider.send_keys(Keys.ARROW_RIGHT)
    moved = float(str(slider.get_property("value")))
    scores = sorted(part["score"] for part in parts)
    for value in (moved, scores[0] - 0.01, scores[len(scores) // 3], scores[-1], 0.5):
        browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", slider, value
        )
        chosen = float(str(slider.get_property("value")))
        would = [part["score"] > chosen for part in parts]
        more = sum(now and not part["rejected"] for now, part in zip(would, parts, strict=True))
        fewer = sum(part["rejected"] and not now for now, part in zip(would, parts, strict=True))
        assert f"{more + fewer} of {len(parts)} parts would turn: {more} more rejected, {fewer} fewer" in text(
            browser, "flips"
        )
        assert float(text(browser, "line").removeprefix("threshold = ")) == chosen
    assert "before the file" in browser.find_element(By.ID, "pinned").text  # --threshold was given
    browser.find_element(By.ID, "reset").click()
    assert not browser.find_element(By.ID, "advice").is_displayed()


def test_a_rejected_part_is_shown_large(browser: Chrome, line: object) -> None:
    from selenium.webdriver.common.by import By

    assert wait_for(browser, "document.querySelectorAll('#rejects li').length") == 16
    browser.find_element(By.CSS_SELECTOR, "#rejects button").click()
    wait_for(browser, "document.getElementById('large').dataset.large")
    assert wait_for(browser, "document.querySelector('#large img').naturalWidth") in (64, 160)
    browser.find_element(By.CSS_SELECTOR, "#large button").click()
    assert not browser.find_element(By.ID, "large").is_displayed()


def test_dark_and_light_and_a_telephone(browser: Chrome, line: object) -> None:
    from selenium.webdriver.common.by import By

    grounds = []
    for _ in range(2):
        browser.find_element(By.ID, "theme").click()
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(set(grounds)) == 2
    for width in (1600, 800, 400):
        browser.set_window_size(width, 900)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), width


def test_the_console_is_clean(browser: Chrome, line: object) -> None:
    assert browser.get_log("browser") == []


def test_the_end_of_the_run_is_shown(browser: Chrome, line: tuple[subprocess.Popen[str], Path]) -> None:
    process, _ = line
    process.send_signal(signal.SIGTERM)
    wait_for(browser, "document.getElementById('headline').textContent === 'The run has ended'")
    assert process.wait(10) == 0


def page(port: int, camera: str = "cam1") -> LivePageSink:
    return LivePageSink(PageSettings(port=port), Access(None, frozenset()), "engine", {camera: True})


@pytest.mark.parametrize("days_ago", [0, 9])
def test_camera_and_time_of_a_rejected_part_are_whole(browser: Chrome, days_ago: int) -> None:
    moment = datetime.now(timezone.utc) - timedelta(days=days_ago)
    with page(0, "station3-upper-left") as sink:
        sink.append(inspected(0, camera="station3-upper-left", time=moment))
        browser.get(sink.address)
        wait_for(browser, "document.querySelector('#rejects span')?.textContent.includes('upper-left')")
        assert (
            browser.execute_script(
                "return ['span', 'button', 'ol'].filter((name) => {"
                "const each = document.querySelector('#rejects ' + name);"
                "return each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight; })"
            )
            == []
        )


def test_a_server_that_is_gone_is_shown(browser: Chrome) -> None:
    with page(0) as sink:
        sink.append(inspected(0))
        browser.get(sink.address)
        wait_for(browser, "document.getElementById('judged').textContent === '1'")
        sink._server._showing.end = lambda: None  # it is killed, and cannot say goodbye
    wait_for(browser, "document.getElementById('headline').textContent.startsWith('No connection')")
    assert browser.execute_script("return document.getElementById('main').classList.contains('old')")
    with page(sink.port) as again:
        again.append(inspected(0))
        again.append(inspected(1))
        wait_for(browser, "document.getElementById('judged').textContent === '2'")  # as it came, by itself
