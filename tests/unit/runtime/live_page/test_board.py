"""What the page shows is what happened, and no more of it is kept than is shown."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from aand_edge.runtime.events import Compared, Dropped, Failed, Noticed, Pulsed, SourceChanged, SourceState, now
from aand_edge.runtime.live_page import board as module
from aand_edge.runtime.live_page.board import NOTICES, PARTS, REJECTS, Board
from aand_edge.runtime.live_page.pictures import LARGE, draw_live, smaller
from tests.runtime_events import inspected


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_every_fate_is_counted_by_camera_and_in_all() -> None:
    board = Board("engine", {"cam1": True, "cam2": True}, pinned=True)
    assert board.state()["threshold"] is None
    for number in range(5):
        board.append(inspected(number, rejected=number < 2))
    board.append(replace(inspected(5, rejected=False), rejected=True, late=True))
    board.append(Dropped("cam1", 9, 3, "newest", now()))
    board.append(Failed("cam2", 0, "<b>torn</b>", now()))
    board.append(Pulsed("cam1", 5, 0.0, True, False, True, now()))
    state = board.state()
    counts = state["counts"]
    assert {name: counts[name] for name in module.COUNTED} == {
        "judged": 6,
        "rejected": 3,
        "dropped": 3,
        "failed": 1,
        "late": 1,
        "missed": 1,
    }
    one, two = state["cameras"]
    assert (one["name"], one["judged"], two["failed"], two["failure"]) == ("cam1", 6, 1, "<b>torn</b>")
    assert (state["engine"], state["pinned"], state["threshold"]) == ("engine", True, 0.5)
    assert state["latency_ms"] == {"p50": 13.5, "p95": 13.5}


def test_parts_are_told_once_each_to_who_says_how_far_it_came() -> None:
    board = Board("engine", {"cam1": True})
    assert board.parts_after(0) == (0, [])
    board.append(inspected(0))
    board.append(replace(inspected(1, rejected=False), rejected=True, late=True))
    count, parts = board.parts_after(0)
    assert parts == [(0.9, 0.5, 1, 0), (0.1, 0.5, 3, 0)]
    assert board.parts_after(count) == (2, [])
    board.append(inspected(2, rejected=False, camera="unannounced"))
    assert board.parts_after(count) == (3, [(0.1, 0.5, 0, 1)])


def test_memory_is_bounded_however_long_it_runs() -> None:
    board = Board("engine", {"cam1": True})
    for number in range(PARTS + 10):
        board.append(inspected(number, size=(8, 8)))
        board.append(Noticed("info", str(number), now()))
    count, parts = board.parts_after(3)
    assert (count, len(parts)) == (PARTS + 10, PARTS)
    assert [each.id for each in board.rejects()] == list(range(PARTS + 10 - REJECTS, PARTS + 10))
    told, notices = board.notices_after(0)
    assert (told, len(notices), notices[-1]["text"]) == (PARTS + 10, NOTICES, str(PARTS + 9))
    assert board.notices_after(told) == (told, [])


def test_a_camera_that_falls_silent_is_told_before_its_read_deadline(clock: Clock) -> None:
    board = Board("engine", {"cam1": True, "folder": False})
    for name in ("cam1", "folder"):
        board.append(SourceChanged(name, SourceState.LIVE, "gives pictures", now()))
    for number in range(10):
        clock.seconds += 0.1
        board.append(inspected(number))
    clock.seconds += 1.4
    assert [each["silent_s"] for each in board.state()["cameras"]] == [None, None]
    clock.seconds += 0.2
    silent, folder = board.state()["cameras"]
    assert silent["silent_s"] == pytest.approx(1.6)
    assert folder["silent_s"] is None  # a folder that waits for pictures is no fault
    board.append(Dropped("cam1", 20, 5, "trigger", now()))
    assert board.state()["cameras"][0]["silent_s"] is None


def test_a_slow_camera_is_silent_after_four_of_its_pauses(clock: Clock) -> None:
    board = Board("engine", {"cam1": True})
    board.append(SourceChanged("cam1", SourceState.LIVE, "gives pictures", now()))
    for number in range(3):
        clock.seconds += 2.0
        board.append(inspected(number))
    clock.seconds += 7.9
    assert board.state()["cameras"][0]["silent_s"] is None
    clock.seconds += 0.2
    assert board.state()["cameras"][0]["silent_s"] == pytest.approx(8.1)


def test_states_and_drift_come_and_go(clock: Clock) -> None:
    board = Board("engine", {"cam1": True})
    board.append(SourceChanged("cam1", SourceState.LOST, "the cable was pulled", now()))
    board.append(Compared("cam1", "brightness", 100, 0.9, 8.0, True, now()))
    clock.seconds += 12
    (camera,) = board.state()["cameras"]
    assert (camera["state"], camera["reason"], camera["since_s"]) == ("lost", "the cable was pulled", 12)
    assert camera["drifted"] == ["brightness"]
    board.append(Compared("cam1", "brightness", 100, 0.5, 0.0, False, now()))
    assert board.state()["cameras"][0]["drifted"] == []


def test_a_camera_that_is_tried_again_stays_lost_for_as_long_as_it_has_been(clock: Clock) -> None:
    board = Board("engine", {"cam1": True})
    told = [("lost", "no answer"), ("connecting", "opening it"), ("stalled", "gives no picture"), ("connecting", "")]
    for state, reason in told:
        board.append(SourceChanged("cam1", SourceState(state), reason, now()))
        clock.seconds += 5
        (camera,) = board.state()["cameras"]
        assert camera["state"] in ("lost", "stalled")
    assert (camera["reason"], camera["since_s"]) == ("gives no picture", 20)
    board.append(SourceChanged("cam1", SourceState.LIVE, "gives pictures", now()))
    (camera,) = board.state()["cameras"]
    assert (camera["state"], camera["since_s"]) == ("live", 0)


def test_pictures_are_no_larger_than_they_are_shown() -> None:
    picture = np.zeros((1500, 3000, 3), np.uint8)
    assert smaller(picture, LARGE).shape == (480, 960, 3)
    assert smaller(picture[:4, :4], LARGE) is not None
    assert smaller(picture[:4, :4], LARGE).shape == (4, 4, 3)
    board = Board("engine", {"cam1": True})
    board.append(inspected(0, size=(1200, 1600)))
    (reject,) = board.rejects()
    assert reject.picture.shape == (720, 960, 3)
    drawn = cv2.imdecode(np.frombuffer(reject.draw(240), np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape == (180, 240, 3)
    live = cv2.imdecode(np.frombuffer(draw_live(inspected(0, rejected=False)), np.uint8), cv2.IMREAD_COLOR)
    assert live is not None
    assert live.shape == (48, 64, 3)
