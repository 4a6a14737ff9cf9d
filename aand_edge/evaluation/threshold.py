"""From scores to a verdict: the threshold above which a part is rejected."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import FALSE_REJECTS, Threshold
from aand_edge.errors import DataError, UsageError
from aand_edge.evaluation.metrics import checked_scores

Scores = NDArray[np.floating[Any]]

# Rates are typed by people: 0.07 · 100 must count as 7, not as 7.000000000000001.
_ROUNDING = 1e-9
CONFIDENCE = 0.95


def conformal_threshold(normal_scores: Scores, false_rejects: float = FALSE_REJECTS) -> Threshold:
    """Split conformal threshold from held-out good pictures alone, which need no anomaly.

    With n exchangeable scores, a new good part scores above the k-th smallest with probability 1 − k / (n + 1) at
    most; k = ⌈(n + 1)(1 − α)⌉ keeps that within α = `false_rejects` (Vovk et al., 2005; Lei et al., 2018).
    Too few pictures for α: the threshold is their maximum, promises 1 / (n + 1) and says so in its note.
    Raises DataError without pictures or where a score is not finite.
    """
    check_rate(false_rejects)
    scores, _ = checked_scores(normal_scores, np.zeros(np.shape(normal_scores), dtype=bool))
    if not len(scores):
        raise DataError(
            "there are no held-out good pictures to read a threshold from",
            "Hold some back in training (`holdout`).",
        )
    n = len(scores)
    above = math.floor((n + 1) * false_rejects + _ROUNDING)  # n + 1 − k
    return Threshold(
        value=float(np.sort(scores)[n - max(above, 1)]),
        rule="conformal",
        asked_false_rejects=false_rejects,
        promised_false_rejects=max(above, 1) / (n + 1),
        calibrated_on=n,
        note="" if above else _too_few(n, false_rejects),
    )


def held_out_threshold(scores: Scores, calibrated: NDArray[np.intp], false_rejects: float = FALSE_REJECTS) -> Threshold:
    """The conformal threshold of an engine whose ranges were read from some of the held-out pictures themselves.

    calibrated   their rows; none where nothing is quantised

    The promise is for pictures that are exchangeable with new ones, which those are not strictly: no value of theirs is
    clipped but by choice. Where the others alone can promise the rate that is asked for, they are taken; where they
    cannot, all are, and the note says so. Which it is depends on numbers of pictures, never on scores.
    """
    others = np.delete(np.asarray(scores), calibrated)
    if not len(calibrated) or _promises(len(others), false_rejects):
        return conformal_threshold(others, false_rejects)
    threshold = conformal_threshold(scores, false_rejects)
    shared = f"The ranges were read from {len(calibrated)} of these {len(scores)} pictures."
    return threshold.model_copy(update={"note": f"{threshold.note} {shared}".strip()})


def false_rejects_bound(threshold: Threshold, confidence: float = CONFIDENCE) -> float | None:
    """The share of good parts that this one threshold rejects at most, with that confidence; None without a promise.

    The promise is an average over draws of the held-out pictures. Of one draw of n whose threshold leaves out the
    a − 1 highest scores, the share is Beta(a, n + 1 − a) distributed at most (Vovk, 2012, proposition 2), and below x
    with the probability that of n trials with chance x at least a succeed.
    """
    if threshold.promised_false_rejects is None:
        return None
    n = threshold.calibrated_on
    left_out = round(threshold.promised_false_rejects * (n + 1))
    if not left_out:  # no conformal rule makes such a promise
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        share = (low + high) / 2
        fewer = sum(_binomial(n, successes, share) for successes in range(left_out))
        low, high = (low, share) if 1 - fewer >= confidence else (share, high)
    return high


def _binomial(n: int, successes: int, chance: float) -> float:
    """The probability of so many successes in n trials; by logarithms, since n may be thousands."""
    ways = math.lgamma(n + 1) - math.lgamma(successes + 1) - math.lgamma(n - successes + 1)
    return math.exp(ways + successes * math.log(chance) + (n - successes) * math.log1p(-chance))


def _promises(n: int, false_rejects: float) -> bool:
    return math.floor((n + 1) * false_rejects + _ROUNDING) >= 1


def _too_few(n: int, false_rejects: float) -> str:
    needed = math.ceil((1 - _ROUNDING) / false_rejects) - 1
    return (
        f"A false-reject rate of {false_rejects:.3g} needs {needed} held-out good pictures; {n} can promise "
        f"{1 / (n + 1):.2g}, and the threshold is their highest score."
    )


def f1_threshold(scores: Scores, anomalous: NDArray[np.bool_]) -> Threshold:
    """The threshold of the best F1 on labelled pictures, midway between the scores that it parts.

    Of equally good cuts the highest is taken: it rejects the fewest good parts. Raises UsageError unless there are
    both good and anomalous pictures.
    """
    scores, anomalous = checked_scores(scores, anomalous)
    check_labels(anomalous, "f1")
    levels, inverse = np.unique(scores, return_inverse=True)
    hits = np.bincount(inverse, weights=anomalous)[::-1].cumsum()  # of rejecting each level and all above it
    rejected = np.bincount(inverse)[::-1].cumsum()
    f1 = 2 * hits / (rejected + anomalous.sum())
    cut = len(levels) - 1 - int(np.argmax(f1))
    value = _below(levels, cut)
    good, above = ~anomalous, scores > value
    note = (
        f"F1 {f1.max():.3f}: of these pictures it rejects {(good & above).sum()} of {good.sum()} good ones and misses "
        f"{(anomalous & ~above).sum()} of {anomalous.sum()} anomalous ones; it promises nothing for new ones."
    )
    return Threshold(value=value, rule="f1", calibrated_on=len(scores), note=note)


def _below(levels: NDArray[np.float64], cut: int) -> float:
    """A value that parts level `cut` from the one beneath it, exact in the float32 that engines score in."""
    if cut == 0:
        return float(np.nextafter(np.float32(levels[0]), np.float32(-np.inf)))
    lower, upper = float(levels[cut - 1]), float(levels[cut])
    middle = float(np.float32(lower + (upper - lower) / 2))
    return middle if lower < middle < upper else lower


def rate_threshold(scores: Scores, anomalous: NDArray[np.bool_], false_rejects: float = FALSE_REJECTS) -> Threshold:
    """The smallest threshold that rejects at most the share `false_rejects` of the labelled good pictures.

    It holds for these pictures and promises nothing of new ones. Raises UsageError without a good picture.
    """
    check_rate(false_rejects, lowest_allowed=True)
    scores, anomalous = checked_scores(scores, anomalous)
    check_labels(anomalous, "rate")
    goods = np.sort(scores[~anomalous])
    value = float(goods[len(goods) - 1 - math.floor(len(goods) * false_rejects + _ROUNDING)])
    missed = int((scores[anomalous] <= value).sum())
    return Threshold(
        value=value,
        rule="rate",
        asked_false_rejects=false_rejects,
        calibrated_on=len(goods),
        note=f"It misses {missed} of the {anomalous.sum()} anomalous pictures." if anomalous.any() else "",
    )


def check_rate(false_rejects: float, lowest_allowed: bool = False) -> None:
    """Raises UsageError for a share of good parts that no rule can keep to; 0 is one for labelled pictures alone."""
    if not 0 <= false_rejects < 1 or (false_rejects == 0 and not lowest_allowed):
        interval = "[0, 1)" if lowest_allowed else "(0, 1)"
        raise UsageError(f"--false-rejects {false_rejects} is not in {interval}", "Give a share such as 0.01.")


def check_labels(anomalous: NDArray[np.bool_], rule: Literal["f1", "rate"]) -> None:
    """Raises UsageError where labelled pictures lack what the rule reads: good ones, and for f1 anomalous ones too."""
    if anomalous.all() or (rule == "f1" and not anomalous.any()):
        needed = "good and anomalous test pictures" if rule == "f1" else "good test pictures"
        raise UsageError(
            f"--rule {rule} needs {needed}", "Point --data at a category that has them, or take --rule conformal."
        )
