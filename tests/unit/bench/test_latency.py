import time

import pytest

from aand_edge.bench.latency import ROUND, Latency, measure_in_turn
from aand_edge.errors import UsageError


def test_percentiles_are_times_that_were_seen():
    latency = Latency.of([float(value) for value in range(1, 201)])
    assert (latency.p50, latency.p95, latency.p99, latency.max) == (100, 190, 198, 200)
    assert latency.mean == 100.5


def test_one_stall_is_in_every_figure_of_the_tail():
    latency = Latency.of([10.0] * 49 + [500.0])
    assert (latency.p50, latency.p95) == (10, 10)
    assert (latency.p99, latency.max) == (500, 500)
    assert latency.fps == pytest.approx(1000 / 19.8)


def test_one_sample_is_all_percentiles():
    latency = Latency.of([4.0])
    assert {latency.p50, latency.p95, latency.p99, latency.max, latency.mean} == {4.0}
    assert latency.fps == 250


def test_a_batch_counts_its_frames():
    assert Latency.of([20.0], frames=4).fps == 200


def test_warm_up_runs_do_not_count():
    pauses = iter([0.03, 0.03] + [0.0] * 5)
    (latency,) = measure_in_turn([lambda: time.sleep(next(pauses))], warmup=2, repeats=5, frames=[1])
    assert len(latency.samples) == 5
    assert latency.max < 25
    assert next(pauses, None) is None


def test_a_known_pause_is_measured():
    (latency,) = measure_in_turn([lambda: time.sleep(0.005)], warmup=0, repeats=3, frames=[1])
    assert 5 <= latency.p50 < 50


def test_engines_take_turns_and_the_first_run_of_a_turn_does_not_count():
    calls = []
    rounds = []
    latencies = measure_in_turn(
        [lambda: calls.append("a"), lambda: calls.append("b")],
        warmup=1,
        repeats=ROUND + 3,
        frames=[1, 1],
        progress=lambda done, total: rounds.append((done, total)),
    )
    turn, last = ROUND + 1, 4
    assert "".join(calls) == "ab" + "a" * turn + "b" * turn + "a" * last + "b" * last
    assert [len(latency.samples) for latency in latencies] == [ROUND + 3] * 2
    assert rounds == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("warmup", "repeats"), [(0, 0), (-1, 5)])
def test_counts_that_measure_nothing_are_refused(warmup, repeats):
    with pytest.raises(UsageError, match="measure nothing"):
        measure_in_turn([lambda: None], warmup, repeats, [1])


def test_an_error_of_the_engine_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        measure_in_turn([lambda: 1 / 0], 0, 1, [1])
