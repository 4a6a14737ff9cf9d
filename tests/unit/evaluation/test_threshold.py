import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aand_edge.artifacts import Threshold
from aand_edge.errors import DataError, UsageError
from aand_edge.evaluation.threshold import (
    conformal_threshold,
    f1_threshold,
    false_rejects_bound,
    held_out_threshold,
    rate_threshold,
)


def labels(text):
    """'..x' → [False, False, True]."""
    return np.array([letter == "x" for letter in text])


@pytest.mark.parametrize(
    ("n", "rate", "rank", "promised"),
    [(99, 0.01, 99, 0.01), (100, 0.01, 100, 1 / 101), (199, 0.01, 198, 0.01), (9, 0.1, 9, 0.1), (99, 0.07, 93, 0.07)],
)
def test_conformal_takes_the_kth_smallest(n, rate, rank, promised):
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1)).astype(np.float32)
    threshold = conformal_threshold(scores, rate)
    assert threshold.value == rank
    assert threshold.promised_false_rejects == pytest.approx(promised)
    assert (threshold.rule, threshold.calibrated_on, threshold.note) == ("conformal", n, "")
    assert threshold.asked_false_rejects == rate


@pytest.mark.parametrize("n", [1, 2, 4, 98])
def test_too_few_pictures_take_the_maximum_and_say_what_would_be_needed(n):
    scores = np.linspace(0.1, 0.9, n)
    threshold = conformal_threshold(scores, 0.01)
    assert threshold.value == scores.max()
    assert threshold.promised_false_rejects == pytest.approx(1 / (n + 1))
    assert "needs 99 held-out good pictures" in threshold.note
    assert not threshold.rejects(scores).any()


@given(st.integers(1, 400), st.floats(1e-4, 0.99))
def test_conformal_never_promises_more_than_was_asked_and_its_note_is_right(n, rate):
    threshold = conformal_threshold(np.arange(n, dtype=float), rate)
    assert threshold.promised_false_rejects is not None
    if threshold.note:
        needed = int(threshold.note.split("needs ")[1].split()[0])
        assert n < needed
        assert not conformal_threshold(np.arange(needed, dtype=float), rate).note
        assert conformal_threshold(np.arange(needed - 1, dtype=float), rate).note if needed > 1 else True
    else:
        assert threshold.promised_false_rejects <= rate + 1e-9


@pytest.mark.parametrize(("n", "rate"), [(1, 0.01), (4, 0.01), (19, 0.1), (60, 0.05), (99, 0.01)])
def test_conformal_keeps_its_promise_on_average(n, rate):
    draw = np.random.default_rng(n)
    repeats = 4000
    scores = draw.gamma(2.0, size=(repeats, n + 20))  # skewed, as scores are; the rule knows nothing of it
    promised, rejects = 0.0, []
    for row in scores:
        threshold = conformal_threshold(row[:n], rate)
        promised = threshold.promised_false_rejects
        rejects.append(threshold.rejects(row[n:]).mean())
    noise = 4 * np.std(rejects) / np.sqrt(repeats)
    assert np.mean(rejects) <= promised + noise
    assert np.mean(rejects) >= promised - noise  # continuous scores: the bound is met, not only kept


@pytest.mark.parametrize(("n", "rate"), [(4, 0.01), (32, 0.01), (99, 0.01), (199, 0.05), (3000, 0.01)])
def test_the_bound_of_one_draw_is_the_quantile_of_its_beta_distribution(n, rate):
    threshold = conformal_threshold(np.arange(n, dtype=float), rate)
    left_out = round(threshold.promised_false_rejects * (n + 1))
    for confidence in (0.5, 0.95):
        expected = scipy.stats.beta(left_out, n + 1 - left_out).ppf(confidence)
        assert false_rejects_bound(threshold, confidence) == pytest.approx(expected, abs=1e-5)


def test_one_draw_in_twenty_rejects_more_than_its_bound():
    draw = np.random.default_rng(2)
    rates = [conformal_threshold(draw.random(32), 0.01) for _ in range(4000)]
    beyond = np.mean([1 - threshold.value > false_rejects_bound(threshold) for threshold in rates])
    assert beyond == pytest.approx(0.05, abs=0.012)  # of uniform scores, 1 − threshold is the rate itself


def test_what_promises_nothing_has_no_bound():
    assert false_rejects_bound(Threshold(value=1.0, rule="manual")) is None
    assert false_rejects_bound(Threshold(value=1.0, rule="conformal", promised_false_rejects=0.01)) is None


@pytest.mark.parametrize("wrong", [{"promised_false_rejects": 1.5}, {"calibrated_on": -1}])
def test_a_threshold_cannot_promise_what_is_no_share(wrong):
    with pytest.raises(ValidationError):
        Threshold(value=1.0, rule="conformal", **wrong)


def test_conformal_keeps_its_promise_with_ties():
    draw = np.random.default_rng(5)
    rejects = []
    for _ in range(2000):
        row = draw.integers(0, 4, 39).astype(float)
        rejects.append(conformal_threshold(row[:19], 0.1).rejects(row[19:]).mean())
    assert np.mean(rejects) <= 0.1


def test_pictures_that_gave_the_ranges_give_no_threshold_where_the_others_promise_enough():
    scores = np.concatenate((np.zeros(16), np.arange(1.0, 20.0)))
    threshold = held_out_threshold(scores, np.arange(16), 0.05)
    assert threshold == conformal_threshold(scores[16:], 0.05)
    assert (threshold.promised_false_rejects, threshold.note) == (0.05, "")


@pytest.mark.parametrize("rate", [0.01, 0.04])
def test_where_the_others_cannot_promise_it_all_are_taken_and_it_is_said(rate):
    scores = np.arange(35.0)
    threshold = held_out_threshold(scores, np.arange(16), rate)
    everything = conformal_threshold(scores, rate)
    assert (threshold.value, threshold.calibrated_on) == (everything.value, 35)
    assert threshold.note == f"{everything.note} The ranges were read from 16 of these 35 pictures.".strip()


def test_without_ranges_every_held_out_picture_counts():
    scores = np.arange(5.0)
    assert held_out_threshold(scores, np.array([], dtype=np.intp), 0.01) == conformal_threshold(scores, 0.01)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_conformal_refuses_a_rate_outside_the_open_interval(rate):
    with pytest.raises(UsageError, match="false-rejects"):
        conformal_threshold(np.ones(3), rate)


def test_no_pictures_give_no_threshold():
    with pytest.raises(DataError, match="no held-out good pictures"):
        conformal_threshold(np.array([]))


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        conformal_threshold(np.array([1.0, np.nan]))


def test_f1_lies_midway_between_the_scores_it_parts():
    threshold = f1_threshold(np.array([0.1, 0.2, 0.6, 0.9]), labels("..xx"))
    assert threshold.value == pytest.approx(0.4)
    assert threshold.promised_false_rejects is None
    assert threshold.calibrated_on == 4


def test_f1_of_overlapping_scores_by_hand():
    # rejecting from 0.9: F1 2/3; from 0.5: 4/5 (2 hits, 1 false); from 0.4: 2/3
    scores, kinds = np.array([0.9, 0.7, 0.5, 0.4]), labels("x.x.")
    threshold = f1_threshold(scores, kinds)
    assert threshold.value == pytest.approx(0.45)
    assert threshold.note == (
        "F1 0.800: of these pictures it rejects 1 of 2 good ones and misses 0 of 2 anomalous ones; "
        "it promises nothing for new ones."
    )


def test_f1_rejects_everything_where_that_is_best():
    scores = np.array([0.5, 0.1, 0.2], np.float32)
    threshold = f1_threshold(scores, labels(".xx"))
    assert threshold.rejects(scores).all()


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=2, max_size=30))
def test_f1_is_the_best_of_all_cuts_in_float32(pairs):
    scores = np.array([score for score, _ in pairs], np.float32)
    kinds = np.array([kind for _, kind in pairs])
    if kinds.all() or not kinds.any():
        return
    best = max(2 * (kinds & (scores >= cut)).sum() / ((scores >= cut).sum() + kinds.sum()) for cut in scores)
    rejected = f1_threshold(scores, kinds).rejects(scores)
    assert 2 * (kinds & rejected).sum() / (rejected.sum() + kinds.sum()) == pytest.approx(best)


@pytest.mark.parametrize("kinds", ["..", "xx", ""])
def test_f1_needs_both_kinds(kinds):
    with pytest.raises(UsageError, match="needs good and anomalous test pictures"):
        f1_threshold(np.linspace(0.1, 0.2, len(kinds)), labels(kinds))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.floats(0, 0.99))
def test_rate_is_the_smallest_threshold_within_the_rate(values, rate):
    goods = np.array(values, dtype=float)
    threshold = rate_threshold(goods, np.zeros(len(goods), bool), rate)
    assert (goods > threshold.value).mean() <= rate + 1e-9
    assert (goods > threshold.value - 1e-6).mean() > rate - 1e-9


def test_rate_counts_what_it_misses_and_promises_nothing():
    threshold = rate_threshold(np.array([0.1, 0.2, 0.3, 0.25, 0.9]), labels("...xx"), 0.0)
    assert threshold.value == pytest.approx(0.3)
    assert threshold.promised_false_rejects is None
    assert "misses 1 of the 2" in threshold.note
    assert threshold.calibrated_on == 3


def test_rate_needs_good_pictures():
    for kinds in ("x", ""):
        with pytest.raises(UsageError, match="needs good test pictures"):
            rate_threshold(np.full(len(kinds), 0.5), labels(kinds))
    with pytest.raises(UsageError):
        rate_threshold(np.array([0.5]), labels("."), 1.0)
