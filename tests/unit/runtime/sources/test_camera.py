"""A camera is kept alive whatever its source does, and every frame has a number of its own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aand_edge.errors import DataError, MissingDependencyError, SourceError
from aand_edge.runtime.events import Dropped, Failed, SourceChanged, SourceState
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.sources import camera as module
from aand_edge.runtime.sources import pictures
from aand_edge.runtime.sources.base import Grab, Source, SourceOptions, StalledError
from aand_edge.runtime.sources.camera import Camera, Item
from aand_edge.runtime.sources.child import IsolatedSource
from aand_edge.runtime.tally import Tally
from aand_edge.runtime.triggers.base import Missed
from tests.broker import until

PICTURE = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)


class Script:
    """A source that gives, or raises, what a test wrote down; a list a time that it is opened."""

    def __init__(self, *lives: list[Grab | Exception | None], live: bool = True) -> None:
        self.live, self._lives, self.closed = live, list(lives), 0

    def open(self) -> None:
        if not self._lives:
            raise SourceError("rtsp://user:secret@camera is gone")
        self._life = self._lives.pop(0)

    def read(self) -> Grab | None:
        item = self._life.pop(0) if self._life else SourceError("the script ended")
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.01, 0.02))


def grab(**facts: object) -> Grab:
    made = Grab.now(PICTURE)
    return Grab(**{**made.__dict__, **facts})  # type: ignore[arg-type]


def run(
    source: Source, until: Callable[[list[Item]], bool], options: SourceOptions | None = None, trigger: object = None
) -> list[Item]:
    """What a camera delivers until that is true."""
    items: list[Item] = []
    each = Camera("top", "rtsp://user:secret@camera/1", items.append, options, trigger, source)  # type: ignore[arg-type]
    each.start()
    end = time.monotonic() + 20
    while not until(items):
        assert time.monotonic() < end, items
        time.sleep(0.002)
    start = time.monotonic()
    each.stop()
    assert time.monotonic() - start < 1.5
    return items


def states(items: list[Item]) -> list[str]:
    return [item.state.value for item in items if isinstance(item, SourceChanged)]


def numbers(items: list[Item]) -> list[int]:
    return [item.number for item in items if isinstance(item, Frame)]


def reconnects(items: list[Item]) -> int:
    tally = Tally()
    for item in items:
        if not isinstance(item, Frame):
            tally.count(item)
    return tally.reconnects


def ended(items: list[Item]) -> bool:
    return states(items)[-1:] == ["ended"]


def test_it_is_opened_again_and_numbers_go_on() -> None:
    source = Script([grab(), grab(), SourceError("gone")], [StalledError("late")], [grab(), None])
    items = run(source, ended)
    assert states(items) == [
        "connecting",
        "live",
        "lost",
        "connecting",
        "live",
        "stalled",
        "connecting",
        "live",
        "ended",
    ]
    assert numbers(items) == [0, 1, 2]
    assert source.closed == 3
    assert reconnects(items) == 2


def test_a_camera_that_was_never_live_does_not_reconnect() -> None:
    class Late(Script):
        def open(self) -> None:
            if len(self._lives) > 1:
                self._lives.pop()
                raise SourceError("it does not answer")
            super().open()

    items = run(Late([grab(), None], [], []), ended)
    assert states(items).count("lost") == 2
    assert reconnects(items) == 0


def test_a_camera_that_is_long_in_not_opening_is_tried_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Script):
        def open(self) -> None:
            time.sleep(0.02)
            raise SourceError("it does not answer")

    monkeypatch.setattr(module, "BACKOFF_S", (0.05, 10.0))
    monkeypatch.setattr(module, "STEADY_S", 0.01)
    start = time.monotonic()
    run(Away(), lambda items: states(items).count("connecting") == 4)
    assert time.monotonic() - start > 0.05 + 0.1 + 0.2


def test_a_folder_that_goes_away_and_comes_back_is_told_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LOOK_S", 0.002)
    folder = tmp_path / "incoming"
    folder.mkdir()
    items: list[Item] = []
    camera = Camera("top", str(folder), items.append, SourceOptions(follow=True))
    camera.start()
    until(lambda: states(items)[-1:] == ["live"])
    folder.rmdir()
    until(lambda: states(items)[-1] == "lost")
    time.sleep(0.02)  # some looks more
    folder.mkdir()
    until(lambda: states(items)[-1] == "live")
    camera.stop()
    assert states(items) == ["connecting", "live", "lost", "live", "ended"]
    assert f"The folder {folder} is away" in next(
        item.reason for item in items if isinstance(item, SourceChanged) and item.state is SourceState.LOST
    )


def test_an_error_without_words_is_told_by_its_kind() -> None:
    items = run(Script([AssertionError()]), lambda items: "lost" in states(items))
    assert "AssertionError" in [item.reason for item in items if isinstance(item, SourceChanged)]


def test_one_bad_picture_fails_alone() -> None:
    items = run(Script([grab(), DataError("torn"), grab(), None], live=False), ended)
    assert [(type(item).__name__, item.number) for item in items if not isinstance(item, SourceChanged)] == [
        ("Frame", 0),
        ("Failed", 1),
        ("Frame", 2),
    ]


def test_files_that_cannot_be_read_are_not_tried_for_ever() -> None:
    items = run(Script(live=False), ended)
    assert states(items) == ["connecting", "lost", "ended"]


class Never(Script):
    def open(self) -> None:
        raise MissingDependencyError("the camera needs a driver", "Install it.")


@pytest.mark.parametrize("source", [Never(), None], ids=["here", "in a child"])
def test_a_camera_that_can_never_work_is_not_tried_for_ever(source: Script | None) -> None:
    items = run(source or isolated("0/never"), ended)
    assert states(items) == ["connecting", "lost", "ended"]
    assert [item.reason for item in items if isinstance(item, Failed)] == [
        "rtsp://***@camera/1 was not judged from here on"
    ]
    lost = next(item.reason for item in items if isinstance(item, SourceChanged) and item.state is SourceState.LOST)
    assert lost == "the camera needs a driver. Install it."


def test_credentials_are_told_to_no_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        items = run(Script([grab()]), lambda items: states(items).count("lost") > 2)
    told = caplog.text + repr([item for item in items if isinstance(item, SourceChanged)])
    assert "rtsp://***@camera" in told
    assert "secret" not in told


def test_frames_that_nobody_took_are_told_before_the_next_one() -> None:
    items = run(Script([grab(), grab(skipped=3), None]), ended)
    (dropped,) = (item for item in items if isinstance(item, Dropped))
    assert (dropped.number, dropped.count, dropped.reason) == (3, 3, "newest")
    assert numbers(items) == [0, 4]


class EveryThird:
    def start(self, missed: Missed) -> None: ...

    def stop(self) -> None: ...

    def due(self, frame: Frame) -> Frame | None:
        return frame if frame.number % 3 == 2 else None


def test_frames_that_no_trigger_asked_for_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    items = run(Script([*[grab() for _ in range(7)], None]), ended, trigger=EveryThird())
    assert numbers(items) == [2, 5]
    dropped = [item for item in items if isinstance(item, Dropped)]
    assert sum(item.count for item in dropped) == 5
    assert {item.reason for item in dropped} == {"trigger"}


@pytest.mark.parametrize(
    ("flip", "wanted"), [("none", PICTURE), ("horizontal", PICTURE[:, ::-1]), ("both", PICTURE[::-1, ::-1])]
)
def test_a_picture_is_flipped_and_cut_and_knows_where_it_was(
    flip: str, wanted: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    options = SourceOptions(flip=flip, roi=(4, 2, 10, 8))  # type: ignore[arg-type]
    (frame,) = (item for item in run(Script([grab(), None]), ended, options) if isinstance(item, Frame))
    assert (frame.picture == wanted[2:10, 4:14]).all()
    assert frame.picture.flags["C_CONTIGUOUS"]
    assert frame.origin == (4, 2)


def test_a_region_that_leaves_the_picture_fails_each_frame_by_name() -> None:
    items = run(Script([grab(), None]), ended, SourceOptions(roi=(30, 0, 10, 8)))
    (failed,) = (item for item in items if isinstance(item, Failed))
    assert "10x8+30+0 leaves the picture of 32x24" in failed.reason


# In a process of its own


def isolated(uri: str, **deadlines: float) -> IsolatedSource:
    return IsolatedSource(uri, SourceOptions(), factory="tests.fake_sources:counting", **deadlines)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[4])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", "")))))


@pytest.mark.parametrize("then", ["", "/grow", "/print"])
def test_pictures_come_whole_out_of_another_process(then: str) -> None:
    items = run(isolated(f"20{then}"), ended)
    frames = [item for item in items if isinstance(item, Frame)]
    dropped = sum(item.count for item in items if isinstance(item, Dropped))
    assert len(frames) + dropped == 20
    assert [frame.number for frame in frames] == sorted(frame.number for frame in frames)
    for frame in frames:
        assert frame.name == f"part{frame.number + 1}"
        assert (frame.picture == frame.number + 1).all()
        assert frame.captured < time.monotonic()


def test_a_read_that_blocks_for_ever_is_killed_and_opened_again() -> None:
    source = isolated("3/block", read_deadline_s=0.5)
    items = run(source, lambda items: states(items).count("live") == 2)
    assert states(items)[:5] == ["connecting", "live", "stalled", "connecting", "live"]


def test_a_read_that_blocks_is_ended_when_the_camera_is_stopped() -> None:
    items = list[Item]()
    each = Camera("top", "test://", items.append, source=isolated("3/block"))
    each.start()
    until(lambda: len(numbers(items)) == 3)
    each.stop()
    assert not each._thread.is_alive()
    assert states(items) == ["connecting", "live", "ended"]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("2/crash", "The reader of 2/crash ended with 7"),
        ("2/lose", "the cable was pulled"),
        ("2/refuse", r"rtsp://\*\*\*@camera refuses"),
    ],
)
def test_a_child_that_ends_is_lost_and_started_again(uri: str, reason: str) -> None:
    items = run(isolated(uri), lambda items: states(items).count("lost") > 1)
    import re

    lost = [item.reason for item in items if isinstance(item, SourceChanged) and item.state is SourceState.LOST]
    assert all(re.match(reason, each) for each in lost), lost


def test_a_child_that_its_driver_holds_in_the_kernel_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    source = isolated("0/crash")
    source.open()
    child = source._child
    assert child is not None
    wait = child.wait

    def held(timeout: float | None = None) -> int:
        assert timeout is not None, "the camera would stay as it is for ever"
        raise subprocess.TimeoutExpired("child", timeout)

    monkeypatch.setattr(child, "wait", held)
    with pytest.raises(SourceError, match="The reader of 0/crash hangs in its driver"):
        source.read()
    source.close()
    wait(5)


def test_a_bad_picture_in_a_child_is_one_failed_frame() -> None:
    items = run(isolated("2/bad"), ended)
    assert [item.reason for item in items if isinstance(item, Failed)] == ["the picture is torn"]


def test_a_child_that_is_killed_is_replaced_and_leaves_nothing_behind() -> None:
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    source = isolated("1000")
    killed = threading.Event()

    def until(items: list[Item]) -> bool:
        if numbers(items) and not killed.is_set():
            assert source._child is not None
            os.kill(source._child.pid, signal.SIGKILL)
            killed.set()
        return states(items).count("live") == 2

    assert states(run(source, until))[:4] == ["connecting", "live", "lost", "connecting"]
    if os.path.isdir("/dev/shm"):
        assert set(os.listdir("/dev/shm")) <= before
