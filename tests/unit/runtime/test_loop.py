"""Every frame is accounted for; a broken engine is opened afresh once; the gate is never left to chance."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from aand_edge.engines.base import Frames, Outputs, Runner
from aand_edge.engines.build import build_engine
from aand_edge.errors import AandEdgeError, EngineFailedError
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.events import Event, Failed, Inspected, SourceChanged, SourceState, now
from aand_edge.runtime.frame import Frame
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import Loop, LoopSettings, prepare
from aand_edge.runtime.mailbox import Item, Mailbox, Policy
from tests.frames import frame
from tests.graphs import SIZE, tiny_request
from tests.unit.runtime.test_delivery import Listener


class Fed:
    """A camera that a test feeds: puts its items from a thread of its own, then ends."""

    def __init__(self, mailbox: Mailbox, items: list[Item], name: str = "a", ends: bool = True) -> None:
        self._mailbox, self._items, self._name, self._ends = mailbox, items, name, ends
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        for item in self._items:
            self._mailbox.put(replace(item, captured=time.monotonic()) if isinstance(item, Frame) else item)
        if self._ends:
            self._mailbox.put(SourceChanged(self._name, SourceState.ENDED, "the end", now()))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.join(5)


class Gate:
    def __init__(self) -> None:
        self.rejected: list[int] = []
        self.safe: bool | None = None

    def reject(self, camera: str, number: int, captured: float) -> None:
        assert captured <= time.monotonic()
        self.rejected.append(number)

    def fail_safe(self, rejecting: bool) -> None:
        self.safe = rejecting


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


def run(
    path: Path,
    items: list[Item],
    settings: LoopSettings | None = None,
    gate: Gate | None = None,
    look_around: Callable[[LoopSettings], LoopSettings] = lambda settings: settings,
) -> tuple[Loop, list[Event]]:
    """One camera through the loop; what its sink saw."""
    mailbox, sink = Mailbox({"a": Policy.LOSSLESS}), Listener()
    with LiveEngine(path) as engine, Outlet(sink, True, True, lambda notice: None) as outlet:
        loop = Loop(
            engine, mailbox, [Fed(mailbox, items)], [outlet], settings or LoopSettings(), gate, look_around=look_around
        )
        loop.run()
    return loop, sink.seen


def test_each_frame_is_judged_in_order_or_fails_with_a_reason(engine: Path) -> None:
    items: list[Item] = [frame(0), Failed("a", 1, "torn", now()), frame(2), frame(3)]
    loop, seen = run(engine, items)
    fates = [(type(each).__name__, each.number) for each in seen if isinstance(each, (Inspected, Failed))]
    assert fates == [("Inspected", 0), ("Failed", 1), ("Inspected", 2), ("Inspected", 3)]
    summary = loop.tally.to_dict()
    assert (summary["judged"], summary["failed"], summary["dropped"]) == (3, 1, 0)
    assert summary["latency_ms"]["p50"] >= summary["inference_ms"]["p50"] > 0


def test_verdicts_are_the_engines_by_its_own_threshold(engine: Path) -> None:
    _, seen = run(engine, [frame(number) for number in range(8)])
    with LiveEngine(engine) as live:
        for event in seen:
            if isinstance(event, Inspected):
                raw = live.infer(prepare([event.frame], live.manifest))
                assert event.verdict.score == float(raw.score[0])
                assert event.verdict.threshold == live.manifest.threshold.value
                stages = event.timing
                parts = stages.waited + stages.prepared + stages.inferred + stages.judged
                assert parts == pytest.approx(stages.total, abs=1e-6)


@pytest.mark.parametrize(("fail_safe", "told"), [("reject", [0, 1]), ("pass", [])])
def test_a_frame_that_failed_goes_the_stated_way(engine: Path, fail_safe: str, told: list[int]) -> None:
    gate = Gate()
    settings = LoopSettings(threshold=1e9, fail_safe="reject" if fail_safe == "reject" else "pass")
    items: list[Item] = [Failed("a", 0, "torn", now()), Failed("a", 1, "torn", now(), captured=0.0), frame(2)]
    _, seen = run(engine, items, settings, gate)
    assert gate.rejected == told
    assert [each.rejected for each in seen if isinstance(each, Failed)] == [fail_safe == "reject"] * 2


@pytest.mark.parametrize(("fail_safe", "rejected"), [("reject", True), ("pass", False)])
def test_a_late_verdict_is_counted_and_goes_the_stated_way(engine: Path, fail_safe: str, rejected: bool) -> None:
    settings = LoopSettings(None, 1e-9, "reject" if fail_safe == "reject" else "pass")
    gate = Gate()
    loop, seen = run(engine, [frame(0)], settings, gate)
    assert loop.tally.late == 1
    assert [(each.late, each.rejected) for each in seen if isinstance(each, Inspected)] == [(True, rejected)]
    assert gate.rejected == ([0] if rejected else [])


def test_a_threshold_changes_between_two_frames(engine: Path) -> None:
    def look(settings: LoopSettings) -> LoopSettings:
        return replace(settings, threshold=-1.0 if settings.threshold is None else 1e9)

    loop, seen = run(engine, [frame(number) for number in range(30)], look_around=look)
    assert {each.verdict.threshold for each in seen if isinstance(each, Inspected)} <= {-1.0, 1e9}
    assert loop.tally.judged == 30


class Breaking:
    """A runner that fails at some of its calls."""

    def __init__(self, runner: Runner, fails: list[bool]) -> None:
        self._runner, self._fails = runner, fails

    def infer(self, frames: Frames) -> Outputs:
        if self._fails and self._fails.pop(0):
            raise RuntimeError("CUDA error 700: an illegal memory access")
        return self._runner.infer(frames)

    def close(self) -> None:
        self._runner.close()

    def __enter__(self) -> Breaking:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def breaking(monkeypatch: pytest.MonkeyPatch, *fails: list[bool]) -> None:
    """Each time an engine is loaded, its runner fails by the next list."""
    from aand_edge.runtime import live_engine

    load, plans = live_engine.load_engine, list(fails)

    def broken(path: Path) -> tuple[object, Breaking]:
        manifest, runner = load(path)
        return manifest, Breaking(runner, plans.pop(0) if plans else [])

    monkeypatch.setattr(live_engine, "load_engine", broken)


def test_an_engine_that_fails_once_is_opened_afresh_and_loses_no_frame(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(monkeypatch, [False, True])
    loop, seen = run(engine, [frame(number) for number in range(5)])
    assert [each.frame.number for each in seen if isinstance(each, Inspected)] == list(range(5))
    assert loop.tally.judged == 5


def test_what_a_failed_engine_held_is_free_before_it_is_opened_afresh(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's call whose own variables hold the network; otherwise two lie in memory, until a collection."""
    from aand_edge.runtime import live_engine

    load = live_engine.load_engine
    held: list[weakref.ref[object]] = []
    freed: list[bool] = []

    class Lost:
        def infer(self, frames: Frames) -> Outputs:
            network = np.zeros(1000)
            held.append(weakref.ref(network))
            raise RuntimeError("an illegal memory access was encountered")

        def close(self) -> None: ...

    def broken(path: Path) -> tuple[object, object]:
        manifest, runner = load(path)
        freed.extend(each() is None for each in held)
        return manifest, runner if held else Lost()

    monkeypatch.setattr(live_engine, "load_engine", broken)
    with LiveEngine(engine) as live:
        live.infer(np.zeros((1, *live.manifest.frame, 3), np.uint8))
    assert freed == [True]


@pytest.mark.parametrize("policy", ["reject", "pass"])
def test_an_engine_that_fails_twice_stops_the_loop_with_the_gate_as_the_policy_is_now(
    engine: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    breaking(monkeypatch, [True], [True])
    gate = Gate()
    read_again = LoopSettings(fail_safe="reject" if policy == "reject" else "pass")
    with pytest.raises(EngineFailedError, match="illegal memory access") as raised:
        run(engine, [frame(0)], gate=gate, look_around=lambda settings: read_again)
    assert gate.safe is (policy == "reject")
    assert raised.value.exit_code == 1


def test_an_engine_that_cannot_be_closed_either_is_told_by_what_it_failed_at(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Breaking) -> None:
        raise RuntimeError("the context is lost")

    breaking(monkeypatch, [True], [True])
    monkeypatch.setattr(Breaking, "close", refuse)
    with pytest.raises(EngineFailedError, match="illegal memory access"):
        run(engine, [frame(0)])


def test_the_frames_that_an_engine_failed_at_for_good_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cameras' frames and what was told between them, taken at once."""
    path = build_engine(tiny_request(tmp_path, batch=2))[0]
    breaking(monkeypatch, [True], [True])
    gate, sink, mailbox = Gate(), Listener(), Mailbox({"a": Policy.LOSSLESS, "b": Policy.LOSSLESS})
    for item in (frame(0), Failed("b", 0, "torn", now()), frame(1, camera="b"), frame(1)):
        mailbox.put(replace(item, captured=time.monotonic()))
    with LiveEngine(path) as engine, Outlet(sink, True, True, lambda notice: None) as outlet:
        loop = Loop(engine, mailbox, [], [outlet], LoopSettings(), gate)
        with pytest.raises(EngineFailedError):
            loop.run()
    assert [(each.camera, each.number) for each in sink.seen if isinstance(each, Failed)] == [
        ("a", 0),
        ("b", 0),
        ("b", 1),
    ]
    assert gate.rejected == [0, 0, 1]
    assert (loop.tally.failed, loop.tally.dropped["stopped"]) == (3, 1)


def test_an_answer_that_is_no_number_fails_its_frame_alone(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = LiveEngine.infer

    def sometimes(self: LiveEngine, frames: Frames) -> Outputs:
        outputs = original(self, frames)
        bad = bool((frames[0] == frame(1).picture).all())
        return Outputs(outputs.anomaly_map * (np.nan if bad else 1), outputs.score)

    monkeypatch.setattr(LiveEngine, "infer", sometimes)
    loop, seen = run(engine, [frame(0), frame(1), frame(2)])
    assert (loop.tally.judged, loop.tally.failed) == (2, 1)
    assert "not finite" in next(each.reason for each in seen if isinstance(each, Failed))


def test_stop_judges_what_waits_and_ends(engine: Path) -> None:
    mailbox, sink = Mailbox({"a": Policy.LOSSLESS}), Listener()
    with LiveEngine(engine) as live, Outlet(sink, True, True, lambda notice: None) as outlet:
        camera = Fed(mailbox, [frame(number) for number in range(3)], ends=False)
        loop = Loop(live, mailbox, [camera], [outlet], LoopSettings())
        camera._work()
        loop.stop()
        start = time.monotonic()
        loop.run()
        assert time.monotonic() - start < 2
    assert [each.frame.number for each in sink.seen if isinstance(each, Inspected)][:3] == [0, 1, 2]


class Ending(Fed):
    """Tells of a part when it has been told to end, so many seconds later, and then takes as long again."""

    def __init__(self, mailbox: Mailbox, seconds: float) -> None:
        super().__init__(mailbox, [])
        self._seconds = seconds

    def start(self) -> None:
        pass

    def stop(self) -> None:
        time.sleep(self._seconds)
        self._mailbox.put(Failed("a", 7, "No frame came before the camera's end", now(), captured=time.monotonic()))
        time.sleep(self._seconds)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("fail_safe", "told"), [("reject", [7]), ("pass", [])])
def test_a_part_that_fails_while_cameras_end_goes_the_stated_way(
    engine: Path, fail_safe: str, told: list[int], seconds: float
) -> None:
    gate, sink, mailbox = Gate(), Listener(), Mailbox({"a": Policy.PARTS})
    settings = LoopSettings(fail_safe="reject" if fail_safe == "reject" else "pass")
    with LiveEngine(engine) as live, Outlet(sink, True, True, lambda notice: None) as outlet:
        loop = Loop(live, mailbox, [Ending(mailbox, seconds)], [outlet], settings, gate)
        loop.stop()
        loop.run()
    assert gate.rejected == told
    assert [(each.number, each.rejected) for each in sink.seen if isinstance(each, Failed)] == [(7, bool(told))]


def test_a_signal_that_comes_while_another_is_handled_finds_no_lock(engine: Path) -> None:
    """Python runs a handler between two lines of whatever its thread does: here at each line of `stop`."""

    def at_each_line(at: FrameType, kind: str, argument: object) -> Callable[..., object]:
        if kind == "line":
            sys.settrace(None)
            loop.stop()
            sys.settrace(at_each_line)
        return at_each_line

    def stop() -> None:
        sys.settrace(at_each_line)
        loop.stop()

    with LiveEngine(engine) as live, Outlet(Listener(), True, True, lambda notice: None) as outlet:
        loop = Loop(live, Mailbox({"a": Policy.LOSSLESS}), [], [outlet], LoopSettings())
        stopping = threading.Thread(target=stop, daemon=True)
        stopping.start()
        stopping.join(5)
        assert not stopping.is_alive()


def test_a_region_is_told_in_the_cameras_pixels(engine: Path) -> None:
    cropped = replace(frame(0), origin=(100, 50))
    _, seen = run(engine, [cropped, frame(0)], LoopSettings(threshold=0.2))
    shifted, plain = (each.verdict.regions for each in seen if isinstance(each, Inspected))
    assert plain
    assert [(r.x, r.y) for r in shifted] == [(r.x + 100, r.y + 50) for r in plain]


def test_a_frame_of_another_size_fails_where_the_engine_looks_at_a_region(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aand_edge.runtime import live_engine

    load = live_engine.load_engine

    def regional(path: Path) -> tuple[object, object]:
        manifest, runner = load(path)
        return manifest.model_copy(update={"roi": (0, 0, SIZE, SIZE)}), runner

    monkeypatch.setattr(live_engine, "load_engine", regional)
    loop, seen = run(engine, [frame(0), frame(1, side=64)])
    assert (loop.tally.judged, loop.tally.failed) == (1, 1)
    reason = next(each.reason for each in seen if isinstance(each, Failed))
    assert "A frame of 64x64 came, and the engine looks at a region of 32x32" in reason


def test_a_new_build_is_swapped_in_and_a_broken_one_is_not(tmp_path: Path, engine: Path) -> None:
    with LiveEngine(engine) as live:
        before = live.manifest
        (engine.parent / before.engine).write_bytes(b"torn")
        live.load_next()
        outcome = wait_for(live.swap)
        assert isinstance(outcome, AandEdgeError)
        assert live.manifest is before
        build_engine(tiny_request(tmp_path))
        live.load_next()
        outcome = wait_for(live.swap)
        assert outcome is live.manifest
        assert outcome is not before


def wait_for(poll: Callable[[], object]) -> object:
    end = time.monotonic() + 10
    while (found := poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


def test_a_frame_becomes_what_the_engine_takes(engine: Path) -> None:
    with LiveEngine(engine) as live:
        manifest = live.manifest
    same = frame(1)
    assert np.shares_memory(prepare([same], manifest), same.picture)
    rgb = manifest.model_copy(update={"colour": "RGB", "batch": 3})
    batch = prepare([same, frame(2)], rgb)
    assert batch.shape == (3, SIZE, SIZE, 3)
    assert (batch[0] == same.picture[:, :, ::-1]).all()
    assert (batch[2] == batch[1]).all()
    assert prepare([frame(1, side=64)], manifest).shape == (1, SIZE, SIZE, 3)
