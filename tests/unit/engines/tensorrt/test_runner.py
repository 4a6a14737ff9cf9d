"""The GPU runner's logic against a fake engine with TensorRT's real names, faults injected."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from aand_edge.engines.tensorrt.runner import TensorRtRunner
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, UsageError
from tests.graphs import tiny_frames, tiny_scores
from tests.tensorrt_fakes import RELEASES, FakeCuda, FakeTrt, Memory

LOST = "an illegal memory access was encountered"


class Bench:
    """A fake GPU with one engine."""

    def __init__(self, release: str = "11.4") -> None:
        memory: Memory = {}
        self.cuda, self.trt = FakeCuda(memory), FakeTrt(release, memory)

    def runner(self, zero_copy: bool = False) -> TensorRtRunner:
        return TensorRtRunner(lambda: self.cuda, self.trt.engine, zero_copy)


@pytest.fixture(params=RELEASES)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


@pytest.mark.parametrize("zero_copy", [False, True])
@pytest.mark.parametrize("captures", [False, True])
def test_every_frame_is_answered_as_the_graph_answers(bench: Bench, zero_copy: bool, captures: bool) -> None:
    bench.cuda.captures = captures
    frames = tiny_frames(6)
    with bench.runner(zero_copy) as runner:
        answers = [runner.infer(frame[None]) for frame in frames]
        assert (runner.graph_note == "") == captures
        if not captures:
            assert "operation not permitted" in runner.graph_note
    assert np.concatenate([each.score for each in answers]) == pytest.approx(tiny_scores(frames))
    assert answers[0].anomaly_map.shape == (1, 32, 32)
    assert (bench.cuda.counts.get("upload", 0) == 0) == zero_copy
    assert bench.cuda.alive == set()
    assert bench.cuda.closed


def test_two_frames_may_be_under_way_and_come_back_in_order() -> None:
    bench, frames = Bench(), tiny_frames(5)
    scores = []
    with bench.runner() as runner:
        runner.submit(frames[:1])
        for number in range(1, 5):
            runner.submit(frames[number : number + 1])
            scores.append(runner.collect().score[0])
        runner.submit(frames[:1])
        with pytest.raises(UsageError, match="2 frames are under way"):
            runner.submit(frames[:1])
        scores.append(runner.collect().score[0])
        runner.collect()
        with pytest.raises(UsageError, match="No frame is under way"):
            runner.collect()
    assert scores == pytest.approx(tiny_scores(frames))


def test_answers_are_copies_that_the_next_frame_does_not_change() -> None:
    frames = tiny_frames(4)
    with Bench().runner() as runner:
        first = runner.infer(frames[:1])
        kept = first.anomaly_map.copy()
        for frame in frames[1:]:
            runner.infer(frame[None])
    assert np.array_equal(first.anomaly_map, kept)


def test_nothing_is_allocated_after_loading() -> None:
    bench, frames = Bench(), tiny_frames(1)
    with bench.runner() as runner:
        runner.infer(frames)
        runner.infer(frames)
        before = {name: bench.cuda.counts.get(name) for name in ("allocate", "pinned", "stream", "event", "graph")}
        for _ in range(20):
            runner.infer(frames)
        assert before == {name: bench.cuda.counts.get(name) for name in before}


def test_cuda_is_touched_by_one_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    call = FakeCuda._call
    monkeypatch.setattr(FakeCuda, "_call", lambda self, name: (seen.add(threading.get_ident()), call(self, name))[1])
    with Bench().runner() as runner:
        runner.infer(tiny_frames(1))
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_frames_of_another_shape_are_refused() -> None:
    with Bench().runner() as runner, pytest.raises(UsageError, match="takes uint8 frames of 1 x 32 x 32 x 3"):
        runner.infer(np.zeros((1, 16, 16, 3), np.uint8))


def test_a_failing_enqueue_is_told_and_the_engine_can_be_closed() -> None:
    bench = Bench()
    bench.trt.enqueues = lambda: False
    runner = bench.runner()
    with pytest.raises(AandEdgeError, match="could not run the engine"):
        runner.infer(tiny_frames(1))
    runner.close()
    assert bench.cuda.alive == set()


def test_an_enqueue_that_fails_once_leaves_a_runner_that_works() -> None:
    bench, answers = Bench(), iter([True, False, *[True] * 50])
    bench.trt.enqueues = lambda: next(answers)
    frames = tiny_frames(1)
    with bench.runner() as runner:
        runner.infer(frames)
        with pytest.raises(AandEdgeError):
            runner.infer(frames)
        assert runner.infer(frames).score == pytest.approx(tiny_scores(frames))


@pytest.mark.parametrize("call", ["allocate", "pinned", "stream", "event"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_memory_that_runs_out_while_loading_is_given_back(call: str, after: int) -> None:
    if call == "stream" and after > 1:
        pytest.skip("a runner opens two streams")
    bench = Bench()
    bench.cuda.fail[call] = (after, "out of memory")
    with pytest.raises(AandEdgeError, match="The GPU is out of memory"):
        bench.runner()
    assert bench.cuda.alive == set()
    assert bench.cuda.closed


def test_a_context_that_cannot_be_made_is_told() -> None:
    bench = Bench()
    bench.trt.makes_contexts = False
    with pytest.raises(AandEdgeError, match="cannot make an execution context"):
        bench.runner()
    assert bench.cuda.closed


@pytest.mark.parametrize("call", ["upload", "synchronise", "record", "download"])
def test_a_lost_context_is_told_and_nothing_hangs(call: str) -> None:
    bench = Bench()
    runner = bench.runner()
    runner.infer(tiny_frames(1))
    runner.infer(tiny_frames(1))
    bench.cuda.fail = dict.fromkeys((call, "release", "unpin", "drop"), (0, LOST))
    with pytest.raises(AandEdgeError, match=r"CUDA failed in .+: an illegal memory access"):
        runner.infer(tiny_frames(1))
    runner.close()
    assert bench.cuda.closed
    assert {each for each in bench.cuda.alive if each.startswith(("device", "pinned"))} == set(), "each free was tried"


def test_nothing_is_freed_while_the_gpu_works_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    runner = bench.runner()
    runner.submit(tiny_frames(1))
    calls: list[str] = []
    call = FakeCuda._call
    monkeypatch.setattr(FakeCuda, "_call", lambda self, name: (calls.append(name), call(self, name))[1])
    runner.close()
    assert calls.index("synchronise") < calls.index("release")


def test_a_closed_engine_says_so() -> None:
    runner = Bench().runner()
    runner.close()
    runner.close()
    with pytest.raises(AandEdgeError, match="The engine is closed"):
        runner.infer(tiny_frames(1))


def test_an_engine_of_another_network_is_refused() -> None:
    bench = Bench()
    bench.trt.shapes = {"input": (1, 3, 32, 32), "output": (1, 1000)}
    with pytest.raises(ArtefactMismatchError, match="has the tensors input, output"):
        bench.runner()
    assert bench.cuda.alive == set()


def test_an_answer_that_nobody_fetched_is_not_taken_for_the_next_frames() -> None:
    runner = Bench().runner()
    frames = tiny_frames(2)
    runner.submit(frames[:1])
    with pytest.raises(UsageError, match="under way"):
        runner.infer(frames[1:])
    first = runner.collect()
    assert first.score[0] == runner.infer(frames[:1]).score[0]
    runner.close()


def test_what_cuda_made_is_let_go_before_its_context_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    runner = bench.runner()
    runner.infer(tiny_frames(1))
    held: list[int] = []
    close = type(bench.cuda).close
    slots, streams = runner._slots, runner._streams

    def closing(cuda: FakeCuda) -> None:
        held.append(len(slots) + len(streams) + (runner._copying is not None))
        close(cuda)

    monkeypatch.setattr(type(bench.cuda), "close", closing)
    runner.close()
    assert held == [0], "pycuda frees with the last reference, which needs the context"
