"""Between cameras and engine nothing is lost unsaid, order is kept, cameras take turns, memory is bounded."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aand_edge.runtime.events import Dropped, Failed, SourceChanged, SourceState, now
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.mailbox import WAITING_EVENTS, WAITING_FILES, WAITING_PARTS, Item, Mailbox, Policy
from tests.frames import frame


def ended(camera: str = "a") -> SourceChanged:
    return SourceChanged(camera, SourceState.ENDED, "the end", now())


def numbers(items: list[Item]) -> list[int]:
    return [item.number for item in items if isinstance(item, Frame)]


def test_the_newest_frame_is_taken_and_the_replaced_are_told_before_it() -> None:
    mailbox = Mailbox({"a": Policy.NEWEST})
    for number in range(5):
        mailbox.put(frame(number))
    dropped, newest = mailbox.take(4, 0)
    assert isinstance(dropped, Dropped)
    assert (dropped.number, dropped.count, dropped.reason) == (3, 4, "newest")
    assert numbers([newest]) == [4]
    assert mailbox.take(4, 0) == []


def test_files_wait_for_room_and_lose_nothing() -> None:
    mailbox = Mailbox({"a": Policy.LOSSLESS})
    camera = threading.Thread(target=lambda: [mailbox.put(frame(number)) for number in range(40)])
    camera.start()
    taken: list[int] = []
    while len(taken) < 40:
        items = mailbox.take(3, 5)
        assert len(items) <= WAITING_FILES
        taken += numbers(items)
    camera.join()
    assert taken == list(range(40))


def test_a_part_too_many_fails_by_name() -> None:
    mailbox = Mailbox({"a": Policy.PARTS})
    for number in range(WAITING_PARTS + 1):
        mailbox.put(frame(number))
    items = mailbox.take(WAITING_PARTS + 1, 0)
    assert numbers(items) == list(range(WAITING_PARTS))
    items += mailbox.take(1, 0)
    assert isinstance(items[-1], Failed)
    assert (items[-1].number, items[-1].captured) == (WAITING_PARTS, float(WAITING_PARTS))
    assert "slower than the line" in items[-1].reason


def test_cameras_take_turns() -> None:
    mailbox = Mailbox(dict.fromkeys("abc", Policy.LOSSLESS))
    for camera in "abc":
        for number in range(3):
            mailbox.put(frame(number, camera=camera))
    served = [item.camera for _ in range(9) for item in mailbox.take(1, 0)]
    assert served == list("abcabcabc")


def test_a_batch_is_filled_from_all_cameras_first() -> None:
    mailbox = Mailbox(dict.fromkeys("ab", Policy.LOSSLESS))
    for number in range(3):
        mailbox.put(frame(number, camera="a"))
    mailbox.put(frame(0, camera="b"))
    assert [(item.camera, item.number) for item in mailbox.take(3, 0) if isinstance(item, Frame)] == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
    ]


def test_a_frame_waits_for_those_of_other_cameras_but_not_for_long() -> None:
    mailbox = Mailbox(dict.fromkeys("ab", Policy.NEWEST))
    mailbox.put(frame(0, camera="a"))
    later = threading.Timer(0.05, lambda: mailbox.put(frame(0, camera="b")))
    later.start()
    assert [item.camera for item in mailbox.take(2, 1, gather=20)] == ["a", "b"]
    later.join()
    mailbox.put(frame(1, camera="a"))
    assert [item.camera for item in mailbox.take(2, 1, gather=0.01)] == ["a"]


@pytest.mark.parametrize(("frames", "cameras"), [(1, "ab"), (2, "a"), (2, "abc")])
def test_a_frame_waits_for_nobody_where_nobody_can_come_or_be_taken(frames: int, cameras: str) -> None:
    mailbox = Mailbox(dict.fromkeys(cameras, Policy.LOSSLESS))
    for number, camera in enumerate(cameras[:2]):
        mailbox.put(frame(number, camera=camera))
    start = time.monotonic()
    assert len(mailbox.take(frames, 1, gather=20)) == min(frames, len(cameras))
    if len(cameras) > 1:
        for camera in cameras[1:]:
            mailbox.put(ended(camera))
        while mailbox.take(2, 0):
            pass
        mailbox.put(frame(9))
        assert len(mailbox.take(2, 1, gather=20)) == 1, "the others have ended"
    assert time.monotonic() - start < 10


def test_what_nobody_took_is_told_when_the_loop_ends() -> None:
    mailbox = Mailbox({"a": Policy.LOSSLESS, "b": Policy.NEWEST})
    mailbox.put(frame(0))
    mailbox.put(frame(1))
    mailbox.put(frame(7, camera="b"))
    left = {event.camera: event for event in mailbox.close() if isinstance(event, Dropped)}
    assert {camera: (event.number, event.count, event.reason) for camera, event in left.items()} == {
        "a": (1, 2, "stopped"),
        "b": (7, 1, "stopped"),
    }


def test_a_camera_that_waits_for_room_is_let_go_when_the_loop_ends() -> None:
    mailbox = Mailbox({"a": Policy.LOSSLESS})
    camera = threading.Thread(target=lambda: [mailbox.put(frame(number)) for number in range(WAITING_FILES + 3)])
    camera.start()
    mailbox.release()
    camera.join(5)
    assert not camera.is_alive()


def test_what_comes_after_the_stop_is_counted_and_not_kept() -> None:
    mailbox = Mailbox({"a": Policy.LOSSLESS})
    mailbox.put(frame(0))
    mailbox.release()
    for number in range(1, 5000):
        mailbox.put(Failed("a", number, "torn", now()) if number % 2 else frame(number))
    assert len(mailbox.take(1, 0)) == 1
    events = mailbox.close()
    failed = sum(isinstance(event, Failed) for event in events)
    dropped = sum(event.count for event in events if isinstance(event, Dropped))
    assert failed == WAITING_EVENTS - 1
    assert failed + dropped == 4999


def test_it_is_finished_when_every_end_was_taken() -> None:
    mailbox = Mailbox(dict.fromkeys("ab", Policy.LOSSLESS))
    mailbox.put(frame(0))
    mailbox.put(ended("a"))
    mailbox.put(ended("b"))
    assert not mailbox.finished
    mailbox.take(1, 0)
    mailbox.take(1, 0)
    assert mailbox.finished


@pytest.mark.parametrize("policy", list(Policy))
@given(steps=st.lists(st.one_of(st.just(0), st.integers(1, 4)), max_size=120))
def test_every_frame_has_one_fate_and_order_is_kept(policy: Policy, steps: list[int]) -> None:
    """0 puts a frame, n takes up to n."""
    mailbox, fates, number = Mailbox({"a": policy}), Counter[str](), 0
    seen: list[int] = []

    def account(items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Dropped):
                fates[item.reason] += item.count
            else:
                fates[type(item).__name__] += 1
                seen.append(item.number) if isinstance(item, Frame) else None

    for step in steps:
        if step:
            account(mailbox.take(step, 0))
        elif policy is not Policy.LOSSLESS or number - len(seen) < WAITING_FILES:
            mailbox.put(frame(number))
            number += 1
    account([event for event in mailbox.close() if isinstance(event, (Dropped, Failed))])
    assert sum(fates.values()) == number
    assert seen == sorted(seen)
