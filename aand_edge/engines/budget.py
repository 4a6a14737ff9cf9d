"""The accuracy budget: which regions may be quantised, so that an engine is fast and loses no more than was allowed.

Each region is quantised alone, to see what it costs. Then all of them are, and the costliest are given back one after
the other until the loss is within the budget. What is measured, and with which engine, is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aand_edge.artifacts import Record
from aand_edge.errors import UsageError

POINTS = 100  # of a share: AUROC 0.912 is 91.2 points


@dataclass(frozen=True)
class Budget:
    """What an engine may lose against fp32.

    max_drop    points of image AUROC, and of AUPRO
    max_flips   share of verdicts that may differ, each engine judging by its own threshold
    """

    max_drop: float
    max_flips: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for a loss that is not finite, or no share."""
        if not 0 <= self.max_drop < math.inf:
            raise UsageError(f"--max-drop {self.max_drop:g} is no number of points", "Give one such as 0.3.")
        if not 0 <= self.max_flips <= 1:
            raise UsageError(f"--max-flips {self.max_flips:g} is no share of verdicts", "Give one such as 0.01.")


class Measured(Record):
    """What one mixture of precisions answers, on the same pictures as the others.

    image_auroc, aupro   0 … 1; None where the pictures cannot define them
    map_error            mean absolute difference from the reference's map, unitless as maps are
    flips                share of verdicts that differ from the reference's, 0 … 1
    latency_ms           median milliseconds a frame
    """

    regions: tuple[str, ...]
    image_auroc: float | None
    aupro: float | None
    map_error: float
    flips: float
    latency_ms: float

    def drop(self, reference: Measured) -> float:
        """Points lost of image AUROC or AUPRO, whichever is more; 0 where neither is defined."""
        pairs = ((reference.image_auroc, self.image_auroc), (reference.aupro, self.aupro))
        return max((POINTS * (was - now) for was, now in pairs if was is not None and now is not None), default=0.0)

    def cost(self, reference: Measured) -> tuple[float, float]:
        """What mixtures are ranked by: the drop, to a tenth of a point, then how far the map moved."""
        return round(self.drop(reference), 1), self.map_error


class BudgetReport(Record):
    """What was tried, and what was chosen: None where nothing fits. `note`: where quantising gains no time."""

    pictures: str
    max_drop: float
    max_flips: float
    reference: Measured
    alone: tuple[Measured, ...]
    mixtures: tuple[Measured, ...]
    chosen: Measured | None
    note: str = ""

    @property
    def best(self) -> Measured:
        """The mixture that loses least."""
        return min((*self.alone, *self.mixtures), key=lambda each: each.cost(self.reference))


Measure = Callable[[tuple[str, ...]], Measured]


def search(
    measure: Measure,
    reference: Measured,
    regions: Sequence[str],
    budget: Budget,
    pictures: str,
    progress: Callable[[int, int], None] | None = None,
) -> BudgetReport:
    """Find the fastest of what is tried within the budget; `measure` builds and measures one, 2 · n times at most.

    pictures   a sentence on what is measured, for the report

    Raises UsageError where there is no region.
    """
    if not regions:
        raise UsageError("There is no region to quantise", "Name some with --quantise, or take --precision fp16.")
    most, done = 2 * len(regions), 0

    def counted(mixture: tuple[str, ...]) -> Measured:
        nonlocal done
        measured = measure(mixture)
        done += 1
        if progress:
            progress(done, most)
        return measured

    alone = {region: counted((region,)) for region in regions}
    kept = sorted(regions, key=lambda region: alone[region].cost(reference))
    mixtures: list[Measured] = []
    while kept:
        mixture = tuple(region for region in regions if region in kept)  # in the order of the data
        mixtures.append(counted(mixture) if len(mixture) > 1 else alone[mixture[0]])
        if _fits(mixtures[-1], reference, budget):
            break
        kept.pop()
    if progress:
        progress(most, most)
    fitting = [each for each in (*alone.values(), *mixtures) if _fits(each, reference, budget)]
    chosen = min(fitting, key=lambda each: each.latency_ms, default=None)
    return BudgetReport(
        pictures=pictures,
        max_drop=budget.max_drop,
        max_flips=budget.max_flips,
        reference=reference,
        alone=tuple(alone.values()),
        mixtures=tuple(mixtures),
        chosen=chosen,
        note=_note(chosen, reference),
    )


def _note(chosen: Measured | None, reference: Measured) -> str:
    if chosen is None or chosen.latency_ms < reference.latency_ms:
        return ""
    return (
        f"the fastest within the budget takes {chosen.latency_ms:.1f} ms, fp32 {reference.latency_ms:.1f} ms: "
        "here quantising gains no time"
    )


def _fits(measured: Measured, reference: Measured, budget: Budget) -> bool:
    return measured.drop(reference) <= budget.max_drop and measured.flips <= budget.max_flips
