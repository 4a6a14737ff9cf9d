"""Whether a threshold keeps its promise is found on pictures of which the answer is known beforehand."""

from __future__ import annotations

import pytest
import torch

from benchmarks import promise
from benchmarks.promise import Good, kept, page


@pytest.fixture
def splits(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(promise, "SPLITS", 200)
    return promise.SPLITS


def good_pictures(count: int) -> Good:
    """Noise: every picture as good as any other."""
    generator = torch.Generator().manual_seed(0)
    return Good([torch.rand(count, side, side, generator=generator) / 10 for side in (16, 8, 4)], 64)


def test_what_is_found_is_what_was_promised_where_pictures_are_alike(splits: int) -> None:
    rows = list(kept(good_pictures(60)))
    assert {(row.levels, row.held_out) for row in rows} == {
        (levels, count) for levels in ("equal", "standardised") for count in (4, 9, 19)
    }, "32 held out of 60 leave too few to judge"
    for row in rows:
        assert row.promised == pytest.approx(1 / (row.held_out + 1))
        assert row.found == pytest.approx(row.promised, abs=0.03)


def test_a_broken_promise_shows(splits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    good = good_pictures(40)
    monkeypatch.setattr(Good, "standardised", lambda self, rows: (0.0, 0.0, 0.0))
    flat, equal = ([row for row in kept(good) if row.levels == levels] for levels in ("standardised", "equal"))
    assert {row.found for row in flat} in ({0.0}, {1.0}), "a map of zeros tells no picture from another"
    assert all(0 < row.found < 1 for row in equal)


def test_the_page_has_a_line_a_row(splits: int) -> None:
    rows = list(kept(good_pictures(10)))
    lines = page("noise", 10, rows).splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| 4 ")] == ["| 4", "| 4"]
    assert len(rows) == 2
