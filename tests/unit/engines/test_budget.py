"""The search for regions to quantise, on regions whose cost and gain are known."""

from __future__ import annotations

import math

import pytest

from aand_edge.engines.budget import Budget, Measured, search
from aand_edge.errors import UsageError

REFERENCE = Measured(regions=(), image_auroc=0.95, aupro=0.9, map_error=0, flips=0, latency_ms=100)
COSTS = {"teacher1": 1.0, "teacher2": 0.4, "bottleneck": 0.0, "student1": 0.2}  # points of image AUROC
GAINS = {"teacher1": 20.0, "teacher2": 10.0, "bottleneck": 15.0, "student1": 5.0}  # milliseconds
ORDER = tuple(COSTS)


@pytest.mark.parametrize("loss", [(math.inf,), (math.nan,), (-1.0,), (0.3, math.nan), (0.3, 2.0)])
def test_a_budget_that_bounds_nothing_is_refused(loss: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"is no (number of points|share of verdicts)"):
        Budget(*loss)


def measure(regions: tuple[str, ...]) -> Measured:
    cost = sum(COSTS[region] for region in regions)
    return Measured(
        regions=regions,
        image_auroc=0.95 - cost / 100,
        aupro=0.9,
        map_error=cost / 1000,
        flips=cost / 20,
        latency_ms=100 - sum(GAINS[region] for region in regions),
    )


@pytest.mark.parametrize(
    ("max_drop", "chosen"),
    [
        (2.0, ORDER),
        (1.0, ("teacher2", "bottleneck", "student1")),
        (0.3, ("bottleneck", "student1")),
        (0.0, ("bottleneck",)),
    ],
)
def test_the_costliest_regions_are_given_back_first(max_drop: float, chosen: tuple[str, ...]) -> None:
    report = search(measure, REFERENCE, ORDER, Budget(max_drop), "pictures")
    assert report.chosen is not None
    assert report.chosen.regions == chosen
    assert [each.regions for each in report.alone] == [(region,) for region in ORDER]


def test_the_fastest_is_chosen_and_said_where_it_gains_nothing() -> None:
    def slow(regions: tuple[str, ...]) -> Measured:
        return measure(regions).model_copy(update={"latency_ms": 90.0 if regions == ("teacher2",) else 120.0})

    report = search(slow, REFERENCE, ORDER, Budget(2.0), "pictures")
    assert report.chosen is not None
    assert (report.chosen.regions, report.note) == (("teacher2",), "")
    slower = search(slow, REFERENCE.model_copy(update={"latency_ms": 80}), ORDER, Budget(2.0), "pictures")
    assert "takes 90.0 ms, fp32 80.0 ms: here quantising gains no time" in slower.note


def test_flipped_verdicts_count_too() -> None:
    report = search(measure, REFERENCE, ORDER, Budget(2.0, max_flips=0.02), "pictures")
    assert report.chosen is not None
    assert report.chosen.regions == ("bottleneck", "student1")


def test_where_nothing_fits_the_best_is_named() -> None:
    def worse(regions: tuple[str, ...]) -> Measured:
        return measure(regions).model_copy(update={"aupro": 0.8})

    report = search(worse, REFERENCE, ORDER, Budget(0.5), "pictures")
    assert report.chosen is None
    assert report.best.regions == ("bottleneck",)
    assert report.best.drop(REFERENCE) == pytest.approx(10)


def test_without_a_region_there_is_nothing_to_search() -> None:
    with pytest.raises(UsageError, match="no region to quantise"):
        search(measure, REFERENCE, (), Budget(0.5), "pictures")


def test_figures_that_are_not_defined_cost_nothing() -> None:
    unlabelled = REFERENCE.model_copy(update={"image_auroc": None, "aupro": None})
    assert measure(ORDER).drop(unlabelled) == 0


def test_a_gain_is_no_drop() -> None:
    better = REFERENCE.model_copy(update={"image_auroc": 0.97, "aupro": 0.91})
    assert better.drop(REFERENCE) < 0


def test_ties_are_broken_by_how_far_the_map_moved() -> None:
    """Where figures are saturated, as they are on synthetic anomalies, the map still tells."""

    def saturated(regions: tuple[str, ...]) -> Measured:
        most = max(regions, key=lambda region: COSTS[region])
        drop = 0.5 if len(regions) > 2 else 0.0
        return measure(regions).model_copy(update={"image_auroc": 0.95 - drop / 100, "map_error": COSTS[most]})

    report = search(saturated, REFERENCE, ORDER, Budget(0.1), "pictures")
    assert report.mixtures[-1].regions == ("bottleneck", "student1")


def test_progress_ends_with_everything_done() -> None:
    told: list[tuple[int, int]] = []
    search(measure, REFERENCE, ORDER, Budget(2.0), "pictures", lambda done, most: told.append((done, most)))
    assert told[-1] == (8, 8)
    assert told == sorted(told)
