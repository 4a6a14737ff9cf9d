import sys
from dataclasses import replace

import pytest

from aand_edge.bench.latency import Latency
from aand_edge.bench.plots import PAGE_COLOURS, latency_plot, score_plot
from aand_edge.errors import MissingDependencyError

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def row(category, bench, tmp_path):
    return bench(category, tmp_path).rows[0]


def timed(row, samples):
    return replace(row, latency=Latency.of(samples))


def test_plots_take_their_colours_from_the_page(row):
    for svg in (latency_plot([row], 5.0), score_plot(row)):
        assert svg.startswith("<svg")
        assert "var(--ink)" in svg
        assert not any(colour in svg for colour in PAGE_COLOURS)
        assert "width=" not in svg.split(">")[0]


def test_a_stall_of_minutes_stays_on_the_axis(row):
    svg = latency_plot([timed(row, [10.0] * 99 + [60_000.0])], None)
    assert "logarithmic axis" in svg
    assert "P99 10.0" in svg
    assert "logarithmic" not in latency_plot([timed(row, [10.0, 12.0])], None)


def test_equal_samples_and_a_budget_far_away_are_drawn(row):
    assert "budget 500" in latency_plot([timed(row, [10.0] * 5)], 500.0)


def test_names_from_outside_are_escaped(row):
    svg = score_plot(replace(row, name='<a "b">'))
    assert '<a "b">' not in svg
    assert "&lt;a" in svg


def test_a_dollar_or_an_underscore_is_no_formula(row):
    assert ">$x_1$</text>" in score_plot(replace(row, name="$x_1$"))


def test_the_same_report_gives_the_same_picture(row):
    assert score_plot(row) == score_plot(row)


def test_missing_matplotlib_is_named_with_the_command_that_brings_it(row, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="matplotlib") as caught:
        score_plot(row)
    assert 'pip install "aand-edge[bench]"' in caught.value.hint
