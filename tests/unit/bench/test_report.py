from dataclasses import replace

import pytest
from rich.console import Console

from aand_edge.bench.latency import Latency
from aand_edge.bench.memory import Memory
from aand_edge.bench.page import to_html
from aand_edge.bench.report import Pictures, recommend

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def report(category, bench, tmp_path):
    return bench(category, tmp_path / "bench", engines=3)


def timed(row, name, milliseconds, drop=0.0, **fields):
    latency = Latency.of([float(milliseconds)] * 10)
    return replace(row, name=name, latency=latency, drop={"image_auroc": drop, "aupro": None}, **fields)


def test_the_fastest_engine_that_holds_accuracy_is_recommended(report):
    row = report.rows[0]
    rows = [timed(row, "fp32", 40), timed(row, "fp16", 20, 0.004), timed(row, "int8", 5, 0.2)]
    recommended = recommend(rows, "fp32", None)
    assert recommended.engine == "fp16"
    assert "lose at most 0.01 of any figure (P50 20.0 ms)" in recommended.reason


def test_the_figure_that_decides_is_the_first_one_shown(report):
    assert report.tables()["Speed and memory"][0][:3] == ["engine", "precision", "p50 ms"]


def test_the_reference_is_preferred_where_nothing_is_clearly_faster(report):
    row = report.rows[0]
    recommended = recommend([timed(row, "fp16", 39), timed(row, "fp32", 40)], "fp32", None)
    assert recommended.engine == "fp32"


def test_where_all_lose_too_much_the_least_loss_is_named_as_such(report):
    row = report.rows[0]
    recommended = recommend([timed(row, "a", 5, 0.3), timed(row, "b", 9, 0.02)], "elsewhere", None)
    assert recommended.engine == "b"
    assert "every engine loses more than 0.01" in recommended.reason


def test_the_budget_does_not_buy_a_loss_of_accuracy(report):
    row = report.rows[0]
    recommended = recommend([timed(row, "fp32", 40), timed(row, "int8", 5, 0.2)], "fp32", budget_ms=10)
    assert recommended.engine == "fp32"
    assert "misses the budget of 10 ms (P99 40.0 ms)" in recommended.reason


def test_without_a_reference_the_reason_says_that_accuracy_was_not_compared(report):
    row = report.rows[0]
    rows = [replace(timed(row, name, time), drop=None) for name, time in (("a", 9), ("b", 5))]
    assert "could not be compared" in recommend(rows, None, None).reason


def test_yardsticks_alone_are_not_recommended(report):
    assert recommend([timed(report.rows[0], "torch", 9, deployable=False)], "torch", None) is None
    bare = replace(report, recommended=None)
    assert "yardstick" in bare.verdict()


def test_a_weak_model_is_told_beside_the_engine_to_use(report):
    def of_a_model_with(auroc):
        metrics = replace(report.rows[0].accuracy.metrics, image_auroc=auroc)
        rows = tuple(replace(row, accuracy=replace(row.accuracy, metrics=metrics)) for row in report.rows)
        return replace(report, rows=rows)

    said = "the model itself hardly tells good from bad (image AUROC 0.62, 0.5 is chance): training longer"
    weak = of_a_model_with(0.62)
    assert said in weak.verdict()
    assert said in weak.to_markdown()
    assert said in to_html(weak)
    for auroc in (0.8, None):
        assert of_a_model_with(auroc).doubt() == ""
        assert "hardly" not in to_html(of_a_model_with(auroc))


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (Pictures(0, 0, 0), "No test pictures"),
        (Pictures(5, 0, 0), "No anomalies"),
        (Pictures(0, 5, 0), "No good pictures"),
        (Pictures(5, 5, 5), "No masks"),
        (Pictures(5, 5, 2), "without a mask: 2"),
    ],
)
def test_what_the_pictures_cannot_define_is_told(pictures, words):
    assert words in " ".join(pictures.undefined())


def test_a_full_test_split_needs_no_remark():
    assert Pictures(5, 5, 0).undefined() == ()


def test_markdown_has_a_line_an_engine_in_each_table(report):
    text = report.to_markdown()
    assert text.startswith("# Bench: part\n\n**Use ")
    for row in report.rows:
        assert text.count(f"| {row.name} |") == 2
    widths = {line.count("|") for line in text.split("## Accuracy")[1].splitlines() if line.startswith("|")}
    assert len(widths) == 1
    assert "3 of" not in text  # one of three goods rejected, one of three defects missed
    assert text.count("1 of 3") == 6


def test_the_terminal_table_shows_every_engine_and_remark(report):
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(replace(report, rows=(*report.rows[:2], replace(report.rows[2], note="It runs in f32."))).table())
    shown = captured.get()
    assert all(row.name in shown for row in report.rows)
    assert "AUPRO" in shown
    assert "It runs in f32." in shown


def test_an_unknown_memory_is_a_dash_with_its_reason(report):
    rows = tuple(replace(row, memory=Memory(None, "this system is odd")) for row in report.rows)
    text = replace(report, rows=rows).to_markdown()
    assert "memory: this system is odd." in text
    assert "| – |" in text


def test_one_engine_alone_has_no_columns_of_comparison(category, bench, tmp_path):
    headings = bench(category, tmp_path).tables()["Accuracy"][0]
    assert "flips" not in headings
    assert "worst drop" not in headings
