import csv
import json
import sys
from dataclasses import replace

import pytest

from aand_edge.artifacts import Threshold
from aand_edge.bench.contender import Contender
from aand_edge.bench.run import check_budget, first_batch, reference_of, run_bench
from aand_edge.data.layouts import Category
from aand_edge.errors import DataError, LatencyBudgetError, MissingDependencyError, UsageError

pytestmark = pytest.mark.usefixtures("quick")


def eager(runner):
    threshold = Threshold(value=0.5, rule="conformal")
    return Contender("part.torch", "torch", "fp32", (16, 16), "BGR", threshold, runner, deployable=False)


def test_the_json_keeps_the_contract(category, bench, tmp_path):
    report = bench(category, tmp_path / "out", engines=2)
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert {"engines", "reference", "device", "protocol"} <= set(stored)
    for engine in stored["engines"]:
        assert {
            "name", "backend", "precision", "executed", "note", "fps", "latency_ms", "decode_ms", "resize_ms",
            "memory_mb", "image_auroc", "pixel_auroc", "aupro", "f1_max", "drop", "flips", "threshold",
            "false_rejects", "missed",
        } <= set(engine)  # fmt: skip
        assert {"p50", "p95", "p99", "max"} <= set(engine["latency_ms"])
        assert {"image_auroc", "pixel_auroc", "aupro"} <= set(engine["drop"])
    assert stored["reference"] == "part.openvino.fp32"
    assert stored["engines"][1]["flips"] == 0
    assert stored["pictures"] == {"good": 3, "anomalous": 3, "unmasked": 1}


def test_every_file_of_the_report_is_written(category, bench, tmp_path):
    bench(category, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "pictures.csv", "report.html", "report.json", "report.md"
    ]  # fmt: skip
    lines = list(csv.DictReader((tmp_path / "out" / "pictures.csv").read_text().splitlines()))
    assert len(lines) == 6
    assert [line["verdict"] for line in lines] == ["pass", "pass", "reject", "reject", "pass", "reject"]


@pytest.mark.parametrize("package", ["matplotlib", "sklearn", "scipy"])
def test_a_package_that_the_report_lacks_is_told_before_anything_is_measured(
    category, bench, tmp_path, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("aand_edge.bench.run.measure_memory", lambda _: pytest.fail("an engine was measured"))
    with pytest.raises(MissingDependencyError, match=rf"{package}.*aand-edge\[bench\]"):
        bench(category, tmp_path / "out")


def test_only_good_pictures_need_no_package_for_figures(category, bench, tmp_path, monkeypatch):
    for package in ("sklearn", "scipy"):
        monkeypatch.setitem(sys.modules, package, None)
    good = tuple(sample for sample in category.test if not sample.anomalous)
    assert bench(replace(category, test=good), tmp_path / "out").rows[0].figures()["image_auroc"] is None


def test_flips_are_decisions_at_each_ones_own_threshold(category, bench, manifest, runner, tmp_path):
    engines = [
        (manifest(), runner),
        (manifest("shifted", "fp16", threshold=0.8), lambda: runner(offset=0.3)),  # the same ranking, moved
        (manifest("strict", "fp16", threshold=0.3), runner),  # rejects the scratch at 100 as well
    ]
    report = run_bench(engines, category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert [row.flips for row in report.rows] == [0, 0, 1]
    assert report.row("shifted").drop == pytest.approx(dict.fromkeys(report.rows[0].figures(), 0.0), abs=1e-3)


def test_a_drop_is_the_references_figure_minus_the_engines(category, manifest, runner, tmp_path):
    class Blind(runner):
        def infer(self, frames):
            return super().infer(frames * 0)

    engines = [(manifest("blind", "fp16"), Blind), (manifest(), runner)]
    report = run_bench(engines, category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert report.row("blind").drop["image_auroc"] == pytest.approx(8 / 9 - 0.5)
    assert report.recommended.engine == "part.openvino.fp32"


def test_a_missed_budget_is_an_error_once_the_report_is_written(category, manifest, runner, tmp_path):
    engines = [(manifest(), lambda: runner(seconds=0.004))]
    report = run_bench(engines, category, repeats=5, warmup=0, budget_ms=2, out=tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["budget_ms"] == 2
    assert "misses the budget" in stored["recommended"]["reason"]
    with pytest.raises(LatencyBudgetError, match="the budget is 2 ms"):
        check_budget(report)


def test_a_page_that_cannot_be_drawn_leaves_the_report_that_was_there(
    category, manifest, runner, tmp_path, monkeypatch
):
    (tmp_path / "report.json").write_text("old")
    monkeypatch.setattr("aand_edge.bench.run.to_html", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_bench([(manifest(), runner)], category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert [path.read_text() for path in tmp_path.glob("report.*")] == ["old"]


def test_a_kept_budget_is_no_error(category, bench, tmp_path):
    report = bench(category, tmp_path, budget_ms=60_000)
    check_budget(report)
    assert "keeps the budget of 60000 ms" in report.recommended.reason


def test_an_engine_within_the_budget_is_preferred(category, manifest, runner, tmp_path):
    engines = [(manifest(), lambda: runner(seconds=0.03)), (manifest("fast", "fp16"), runner)]
    report = run_bench(engines, category, repeats=3, warmup=0, budget_ms=25, out=tmp_path)
    assert report.recommended.engine == "fast"


def test_the_yardstick_is_measured_but_never_recommended(category, bench, manifest, runner, tmp_path):
    engines = [(manifest(), lambda: runner(seconds=0.003))]
    yardsticks = [eager(runner), replace(eager(runner), name="other.torch")]
    report = run_bench(engines, category, repeats=2, warmup=0, budget_ms=None, out=tmp_path, eager=yardsticks)
    assert [row.name for row in report.rows] == ["part.openvino.fp32", "part.torch", "other.torch"]
    assert report.recommended.engine == "part.openvino.fp32"


def test_runners_are_closed_whatever_happens(category, manifest, runner, tmp_path):
    good, broken = runner(), runner(offset=float("nan"))
    engines = [(manifest("a"), lambda: good), (manifest("b"), lambda: broken)]
    with pytest.raises(DataError):
        run_bench(engines, category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert good.closed
    assert broken.closed


def test_a_split_without_anomalies_leaves_the_figures_out(category, bench, tmp_path):
    goods = replace(category, test=tuple(sample for sample in category.test if not sample.anomalous))
    report = bench(goods, tmp_path, engines=2)
    row = report.to_dict()["engines"][0]
    assert [row[key] for key in ("image_auroc", "pixel_auroc", "aupro", "f1_max", "missed")] == [None] * 5
    assert row["false_rejects"] == 1
    assert "No anomalies" in report.to_dict()["undefined"][0]
    markdown = (tmp_path / "report.md").read_text()
    assert "AUPRO |" not in markdown


def test_a_category_without_test_pictures_is_timed_on_training_pictures(category, bench, tmp_path):
    report = bench(replace(category, test=()), tmp_path, engines=2)
    assert report.rows[0].latency.p50 > 0
    assert report.rows[0].flips is None
    assert list(report.tables()) == ["Speed and memory"]
    assert "their accuracy could not be compared" in report.recommended.reason
    assert "No test pictures" in (tmp_path / "report.md").read_text()


def test_no_picture_at_all_is_an_error(contender, tmp_path):
    with pytest.raises(DataError, match="no picture"):
        first_batch(Category("part", "folder", tmp_path, (), ()), contender())


def test_no_engine_and_one_name_twice_are_refused(category, manifest, runner, tmp_path):
    with pytest.raises(UsageError, match="no engine"):
        run_bench([], category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    with pytest.raises(UsageError, match=r"part\.openvino\.fp32"):
        run_bench([(manifest(), runner)] * 2, category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert not list(tmp_path.glob("report*"))


def test_the_reference_is_openvinos_fp32_then_any_then_the_yardstick_then_none(contender, runner):
    openvino, ort = contender(), contender(name="ort", backend="onnxruntime")
    half, torch = contender(name="half", precision="fp16"), eager(runner)
    assert reference_of([half, torch, ort, openvino]) == "part.openvino.fp32"
    assert reference_of([half, torch, ort]) == "ort"
    assert reference_of([half, torch]) == "part.torch"
    assert reference_of([half]) is None


def test_progress_names_each_stage(category, bench, tmp_path):
    seen = []
    bench(category, tmp_path, progress=lambda *step: seen.append(step))
    last = {stage: (done, total) for stage, done, total in seen}
    assert set(last) == {"memory", "latency", "part.openvino.fp32"}
    assert all(done == total for done, total in last.values()), "no stage stops short of its end"


def test_an_engine_that_looks_elsewhere_is_neither_reference_nor_compared_nor_recommended(
    category, manifest, runner, tmp_path
):
    elsewhere = manifest("a-region", "fp32").model_copy(update={"roi": (0, 0, 8, 16)})
    engines = [(elsewhere, runner), (manifest("slow", "fp32"), lambda: runner(seconds=0.004))]
    report = run_bench(engines, category, repeats=2, warmup=0, budget_ms=None, out=tmp_path)
    assert report.reference == "slow"
    assert (report.row("a-region").drop, report.row("a-region").flips) == (None, None)
    assert report.recommended.engine == "slow"
    markdown = (tmp_path / "report.md").read_text()
    assert markdown.count("a-region: looks at another part of the picture than the reference") == 1
    assert "slow: looks at another" not in markdown
    headings, *lines = report.tables()["Accuracy"]
    compared = [headings.index(heading) for heading in ("worst drop", "flips")]
    cells = {line[0]: [line[column] for column in compared] for line in lines}
    assert cells == {"a-region": ["–", "–"], "slow": ["reference", "reference"]}


def test_regions_of_different_frames_are_different_views(category, manifest, runner, tmp_path):
    def engine(name, frame, precision="fp32"):
        return manifest(name, precision).model_copy(update={"roi": (0, 0, 8, 8), "frame": frame})

    pairs = [
        (engine("a", (16, 16)), runner),
        (engine("b", (16, 16), "fp16"), runner),
        (engine("c", (32, 32), "fp16"), runner),
    ]
    report = run_bench(pairs, category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert report.reference == "a"
    assert [row.drop is None for row in report.rows] == [False, False, True]


def test_int8_that_is_slower_than_fp16_is_told(category, manifest, runner, tmp_path):
    engines = [
        (manifest("half", "fp16"), runner),
        (manifest("quantised", "int8"), lambda: runner(seconds=0.004)),
    ]
    report = run_bench(engines, category, repeats=2, warmup=0, budget_ms=None, out=tmp_path)
    assert "quantised is slower than half: int8 gains nothing on this machine." in report.remarks()


def test_int8_is_compared_with_its_own_model(category, manifest, runner, tmp_path):
    large = manifest("quantised", "int8").model_copy(update={"model": "large"})
    engines = [(manifest("half", "fp16"), runner), (large, lambda: runner(seconds=0.004))]
    report = run_bench(engines, category, repeats=2, warmup=0, budget_ms=None, out=tmp_path)
    assert not [remark for remark in report.remarks() if "gains nothing" in remark]


@pytest.mark.parametrize(("rule", "told"), [("rate", "read from labelled pictures"), ("manual", "set by hand")])
def test_a_threshold_that_promises_nothing_is_told(category, manifest, runner, tmp_path, rule, told):
    threshold = Threshold(value=0.5, rule=rule)
    engine = manifest("part", "fp32").model_copy(update={"threshold": threshold})
    report = run_bench([(engine, runner)], category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert f"part: its threshold was {told}." in report.remarks()
    other = run_bench([(manifest("part", "fp32"), runner)], category, repeats=1, warmup=0, budget_ms=None, out=tmp_path)
    assert not [remark for remark in other.remarks() if "its threshold was" in remark]
