"""Whether a threshold keeps its promise is found on pictures of which the answer is known beforehand."""

from __future__ import annotations

import pytest
import torch

from benchmarks import promise
from benchmarks.promise import Good, kept, page, splits


def good_pictures(count: int, *, restless: int = 0) -> Good:
    """Noise, every picture as good as any other; the last `restless` of them vary three times as much."""
    generator = torch.Generator().manual_seed(0)
    factor = torch.ones(count, 1, 1)
    factor[count - restless :] = 3
    return Good([factor * torch.rand(count, side, side, generator=generator) / 10 for side in (16, 8, 4)], 64)


def test_good_parts_that_are_alike_are_rejected_about_as_often_as_promised() -> None:
    equal, standardised = kept(0, good_pictures(219), held_out=19)
    assert (equal.levels, standardised.levels) == ("equal", "standardised")
    for row in (equal, standardised):
        assert (row.held_out, row.judged) == (19, 200)
        assert row.promised == pytest.approx(0.05)
        assert row.chance > 0.05


def test_a_promise_that_is_broken_is_told_as_one() -> None:
    for row in kept(0, good_pictures(59, restless=40), held_out=19):
        assert row.rejected == 40
        assert row.chance < 1e-9


def test_weights_from_the_pictures_that_set_the_threshold_are_tried_on_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise, "SPLITS", 200)
    found = list(splits(good_pictures(60)))
    assert [split.held_out for split in found] == [4, 9, 19], "32 held out of 60 leave too few to judge"
    for split in found:
        assert split.promised == pytest.approx(1 / (split.held_out + 1))
        assert split.found == pytest.approx(split.promised, abs=0.03)


def test_the_page_tells_each_model_and_each_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise, "SPLITS", 20)
    good = good_pictures(30)
    lines = page("noise", [*kept(3, good, 9), *kept(4, good, 9)], list(splits(good))).splitlines()
    assert [line.split(" | ")[:2] for line in lines if line[:3] in ("| 3", "| 4")][:4] == [
        ["| 3", "equal"],
        ["| 3", "standardised"],
        ["| 4", "equal"],
        ["| 4", "standardised"],
    ]
    assert any(line.startswith("| 9 | 10.0 % |") for line in lines)
