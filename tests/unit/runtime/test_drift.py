"""Parts that leave those the engine was accepted on are told once, and chance alone is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from aand_edge.artifacts import Acceptance, EngineManifest, Threshold
from aand_edge.runtime.drift import DriftMonitor, mann_whitney
from aand_edge.runtime.events import Compared, Event, Noticed
from tests.runtime_events import inspected

GREY = 100
ACCEPTED = [0.4 + 0.01 * rank for rank in range(30)]


def manifest(
    scores: list[float] = ACCEPTED, brightness: list[float] | None = None, roi: tuple[int, int, int, int] | None = None
) -> EngineManifest:
    acceptance = Acceptance(
        pictures=len(scores),
        score_error_mean=0,
        score_error_max=0,
        score_spread=1,
        flips=0,
        scores=scores,
        brightness=[GREY - 15 + step for step in range(30)] if brightness is None else brightness,
    )
    return EngineManifest.model_construct(
        acceptance=acceptance, roi=roi, threshold=Threshold(value=1, rule="manual"), frame=(32, 32)
    )


def watch(known: EngineManifest | None = None) -> DriftMonitor:
    engine = known or manifest()
    return DriftMonitor(lambda: engine, 60, 1e-4)


def grey(level: float) -> NDArray[np.uint8]:
    return np.full((32, 32, 3), level, np.uint8)


def show(
    monitor: DriftMonitor, scores: Iterable[float], level: float | None = None, camera: str = "cam1"
) -> list[Event]:
    """Parts of these scores past the monitor. Without a level, brightness is spread as at acceptance."""
    told: list[Event] = []
    for number, score in enumerate(scores):
        part = inspected(number, camera=camera)
        picture = grey(GREY - 15 + number % 30 if level is None else level)
        told += monitor(replace(part, verdict=replace(part.verdict, score=score)), picture)
    return told


def notices(events: list[Event]) -> list[Noticed]:
    return [each for each in events if isinstance(each, Noticed)]


def compared(events: list[Event], quantity: str) -> list[Compared]:
    return [each for each in events if isinstance(each, Compared) and each.quantity == quantity]


def test_the_statistic_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, accepted = rng.integers(0, 40, 50) / 10, np.sort(rng.integers(5, 30, 13) / 10)
        share, deviations = mann_whitney(values.tolist(), accepted)
        theirs = mannwhitneyu(values, accepted, method="asymptotic", use_continuity=False)
        assert share == pytest.approx(theirs.statistic / (50 * 13))
        assert 2 * (1 - _normal(abs(deviations))) == pytest.approx(theirs.pvalue, abs=1e-9)


def _normal(value: float) -> float:
    from statistics import NormalDist

    return NormalDist().cdf(value)


def test_one_value_everywhere_is_no_drift() -> None:
    assert mann_whitney([1.0] * 40, np.ones(20)) == (0.5, 0.0)


def test_parts_as_accepted_are_compared_and_raise_nothing() -> None:
    events = show(watch(), ACCEPTED * 4)
    assert [round(each.share, 6) for each in compared(events, "score")] == [0.5, 0.5]
    assert [each.drifted for each in compared(events, "brightness")] == [False, False]
    assert not notices(events)


def test_scores_that_rise_are_told_once_and_so_is_their_return() -> None:
    monitor = watch()
    risen = show(monitor, [score + 0.2 for score in ACCEPTED] * 6)
    (warning,) = notices(risen)
    assert warning.level == "warning"
    assert "The score at cam1 has drifted" in warning.text
    assert "above" in warning.text
    assert [each.drifted for each in compared(risen, "score")] == [True] * 3
    (calm,) = notices(show(monitor, ACCEPTED * 2))
    assert calm.level == "info"
    assert not notices(show(monitor, ACCEPTED * 4))


def test_a_drift_is_over_well_below_its_alarm() -> None:
    monitor = watch()
    show(monitor, [score + 0.2 for score in ACCEPTED] * 2)
    nearly = show(monitor, [score + 0.08 for score in ACCEPTED] * 2)
    (each,) = compared(nearly, "score")
    assert 2 < each.deviations < 3.9
    assert each.drifted
    assert not notices(nearly)


def test_a_lamp_that_dims_is_told_by_brightness() -> None:
    (warning,) = notices(show(watch(), ACCEPTED * 2, level=GREY - 20))
    assert "The brightness at cam1" in warning.text
    assert "below" in warning.text
    assert "lamp" in warning.text


def test_each_camera_has_its_own_window() -> None:
    monitor = watch()
    assert not compared(show(monitor, ACCEPTED, camera="left"), "score")
    assert not compared(show(monitor, ACCEPTED, camera="right"), "score")
    assert [each.camera for each in compared(show(monitor, ACCEPTED, camera="left"), "score")] == ["left"]


def test_another_engine_begins_anew() -> None:
    known = [manifest()]
    monitor = DriftMonitor(lambda: known[0], 60, 1e-4)
    show(monitor, [9.0] * 50)
    known[0] = manifest([score + 0.2 for score in ACCEPTED])
    events = show(monitor, [score + 0.2 for score in ACCEPTED] * 2)
    assert [each.share for each in compared(events, "score")] == [pytest.approx(0.5)]


def test_the_same_engine_opened_afresh_goes_on() -> None:
    known = [manifest()]
    monitor = DriftMonitor(lambda: known[0], 60, 1e-4)
    assert not compared(show(monitor, [9.0] * 50), "score")
    known[0] = manifest()
    assert compared(show(monitor, [9.0] * 10), "score")


def test_brightness_is_that_of_the_region_looked_at() -> None:
    known = manifest(roi=(8, 8, 16, 16), brightness=[float(GREY)] * 10)
    monitor = DriftMonitor(lambda: known, 20, 1e-4)
    picture = grey(0)
    picture[8:24, 8:24] = GREY
    events = [event for number in range(20) for event in monitor(inspected(number), picture)]
    assert [each.share for each in compared(events, "brightness")] == [0.5]


def test_an_older_manifest_is_compared_by_scores_alone() -> None:
    known = manifest(brightness=[])
    events = show(watch(known), ACCEPTED * 2)
    assert compared(events, "score")
    assert not compared(events, "brightness")
    few = manifest(scores=[0.1] * 4, brightness=[])
    assert not show(watch(few), ACCEPTED * 2)


@pytest.mark.parametrize("accepted", [8, 30])
def test_chance_raises_no_more_than_it_may(accepted: int) -> None:
    """Over many engines, each accepted on pictures of its own: windows of unchanged parts at a chance of 1 %."""
    rng = np.random.default_rng(accepted)
    alarms = 0
    for _ in range(3000):
        known = manifest(rng.lognormal(size=accepted).tolist(), brightness=[])
        monitor = DriftMonitor(lambda known=known: known, 50, 0.01)  # type: ignore[misc]
        told = monitor._take  # one part at a time through `__call__` would make 150,000 pictures
        alarms += sum(
            isinstance(event, Compared) and event.drifted
            for value in rng.lognormal(size=50)
            for event in told("cam1", "score", float(value))
        )
    assert alarms <= 52  # 30 expected; more than 52 once in 20,000 runs
