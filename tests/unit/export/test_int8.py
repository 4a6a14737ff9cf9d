"""From a calibration table to an int8 graph that every engine reads alike."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import resize
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.build import BuildRequest, build_engine, score_frames
from aand_edge.engines.load import load_engine
from aand_edge.engines.openvino_bytes import use_unsigned
from aand_edge.engines.openvino_layers import (
    executed_precisions,
    int8_convolutions,
    narrowed,
    quantised_convolutions,
    read_marked,
)
from aand_edge.engines.registry import find_backend
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, DataError, UsageError
from aand_edge.evaluation.threshold import conformal_threshold
from aand_edge.export.calibrate import (
    CalibrationOptions,
    CalibrationTable,
    Probe,
    calibrate,
    latest_options,
    read_ranges,
    table_path,
)
from aand_edge.export.export import Exported
from aand_edge.export.int8 import Quantisation, chosen_regions, int8_path, write_int8
from aand_edge.export.quantise import CONVOLUTIONS, activations, quantise
from aand_edge.export.regions import QUANTISABLE, default_regions, region_of, write_region
from aand_edge.export.synthetic import with_anomalies
from aand_edge.export.validate import inspect_model, validate
from aand_edge.graph_facts import GraphFacts, check_seal
from aand_edge.holdout import HoldoutSet

Export = Callable[..., Exported]
BY_DEFAULT = default_regions("efficientnet_lite0")  # the model of conftest.py


@pytest.fixture(scope="module")
def table(export: Export, tmp_path_factory: pytest.TempPathFactory) -> CalibrationTable:
    fp32 = export(precision="fp32")
    folder = tmp_path_factory.mktemp("calib")
    return calibrate(fp32.graph, fp32.holdout, folder / "part.json", CalibrationOptions())


@pytest.fixture(scope="module")
def int8(export: Export, table: CalibrationTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("graphs") / "part.int8.onnx"
    write_int8(export(precision="fp16").graph, table, Quantisation(BY_DEFAULT), target)
    return target


def test_an_int8_graph_carries_its_own_digest(int8: Path) -> None:
    assert check_seal(int8)


def test_every_node_has_a_region(export: Export) -> None:
    for precision in ("fp32", "fp16"):
        nodes = onnx.load(export(precision=precision).graph).graph.node
        assert {region_of(node) for node in nodes} == {*QUANTISABLE, "frame", "match", "amplify", "head"}
        for node in nodes:
            if node.op_type in CONVOLUTIONS and "trunk" in node.input[1]:
                assert (region_of(node) == "upsample") == (node.op_type == "ConvTranspose")


def test_both_precisions_name_the_tensors_alike(export: Export, table: CalibrationTable) -> None:
    """A table read from the fp32 graph must hold for the fp16 graph."""
    half = onnx.load(export(precision="fp16").graph)
    quantise(half, table.ranges(), QUANTISABLE)


def test_pairs_stand_where_the_recipe_wants_them(int8: Path) -> None:
    graph = onnx.load(int8).graph
    made = {name: node for node in graph.node for name in node.output}
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type in CONVOLUTIONS:
            quantised = [made[name].op_type for name in node.input[:2] if name in made] == ["DequantizeLinear"] * 2
            assert quantised == (region_of(node) in BY_DEFAULT), node.name
            assert all(name in constants for name in node.input[2:]), "a bias stays as it was"
    for node in graph.node:
        if node.op_type == "Add":
            sources = [made[name].op_type for name in node.input if name in made]
            assert sources.count("DequantizeLinear") <= 1, "of a residual addition only the skip is quantised"
        if region_of(node) in ("head", "match", "amplify"):
            assert all(made[name].op_type != "DequantizeLinear" for name in node.input if name in made), node.name
    assert any(
        node.op_type == "Add" and any(made[name].op_type == "DequantizeLinear" for name in node.input if name in made)
        for node in graph.node
    )


def test_scales_are_half_zero_points_int8_zero_and_weights_reach_their_range(int8: Path) -> None:
    graph = onnx.load(int8).graph
    constants = {each.name: each for each in graph.initializer}
    weights = 0
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale, zero = constants[node.input[1]], numpy_helper.to_array(constants[node.input[2]])
            assert scale.data_type == TensorProto.FLOAT16
            assert zero.dtype == np.int8
            assert not zero.any()
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            values = numpy_helper.to_array(constants[node.input[0]])
            weights += 1
            assert np.abs(values.astype(int)).reshape(len(values), -1).max(axis=1).min() >= 120
    assert weights > 40


def test_an_int8_graph_answers_nearly_as_the_model(export: Export, int8: Path) -> None:
    holdout = HoldoutSet.read(export(precision="fp32").holdout)
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = ort.InferenceSession(str(export(precision="fp32").graph))
    quantised = ort.InferenceSession(str(int8), settings)
    for frame in holdout.frames:
        wanted, found = (each.run(["anomaly_map"], {"image": frame[None]})[0] for each in (reference, quantised))
        assert 0 < np.abs(found - wanted).mean() < 0.1 * wanted.mean()


def test_seven_bit_weights_never_exceed_63(export: Export, table: CalibrationTable, tmp_path: Path) -> None:
    """255 · 63 · 2 fits into 16 bits; 255 · 127 · 2 does not."""
    target = int8_path(tmp_path / "part.fp16.onnx", Quantisation(BY_DEFAULT, weight_bits=7))
    assert target.name == "part.int8w7.onnx"
    write_int8(export(precision="fp16").graph, table, Quantisation(BY_DEFAULT, weight_bits=7), target)
    for each in onnx.load(target).graph.initializer:
        if each.data_type == TensorProto.INT8:
            assert np.abs(numpy_helper.to_array(each).astype(int)).max() <= 63
    assert GraphFacts.from_graph(target).weight_bits == 7


@pytest.mark.parametrize("region", QUANTISABLE)
def test_each_region_can_be_quantised_alone(export: Export, table: CalibrationTable, region: str) -> None:
    model = quantise(onnx.load(export(precision="fp16").graph), table.ranges(), [region])
    onnx.checker.check_model(model, full_check=True)
    facts = GraphFacts("part", "x", 64, (64, 64), "BGR", "int8", "0" * 64)
    report = inspect_model(model, facts)
    assert report.problems == ()
    assert report.quantised_weights > 0
    assert {region_of(node) for node in model.graph.node if node.op_type == "QuantizeLinear"} == {region}


def test_regions_add_up_to_the_whole(export: Export) -> None:
    """A tensor's pair depends on its own region alone, so that regions can be measured one at a time."""
    graph = onnx.load(export(precision="fp16").graph)
    alone = {name for region in QUANTISABLE for name in activations(graph, [region])}
    assert alone == set(activations(graph, QUANTISABLE))


def test_a_graph_without_amplifiers_has_fewer_regions(tmp_path: Path) -> None:
    convolution = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    write_region(convolution, "bottleneck")
    graph = onnx.helper.make_graph([convolution], "reverse distillation", [], [])
    model = onnx.helper.make_model(graph)
    facts = GraphFacts("part", "resnet18", 64, (64, 64), "BGR", "fp16", "0" * 64)
    onnx.helper.set_model_props(model, facts.to_metadata())
    onnx.save_model(model, str(tmp_path / "part.fp16.onnx"))
    assert chosen_regions(tmp_path / "part.fp16.onnx", None) == ("bottleneck",)
    with pytest.raises(UsageError, match="has no region 'gate1' to quantise"):
        chosen_regions(tmp_path / "part.fp16.onnx", ("gate1", "bottleneck"))


def test_an_unknown_region_and_a_lacking_range_are_told(export: Export, table: CalibrationTable) -> None:
    with pytest.raises(UsageError, match="There is no region 'head' to quantise"):
        Quantisation(regions=("head",))
    graph = onnx.load(export(precision="fp16").graph)
    with pytest.raises(ArtefactMismatchError, match="no range for"):
        quantise(graph, {}, BY_DEFAULT)


# Calibration


def test_methods_differ_on_real_activations(export: Export, tmp_path: Path) -> None:
    """ONNX Runtime's own entropy calibration returns MinMax's scales; a search must not."""
    fp32 = export(precision="fp32")
    tables = {
        method: calibrate(fp32.graph, fp32.holdout, tmp_path / f"{method}.json", CalibrationOptions(method, 99.9))
        for method in ("minmax", "percentile", "entropy", "mse")
    }
    widest = tables.pop("minmax").ranges()
    for method, made in tables.items():
        ratios = [made.ranges()[name] / top for name, top in widest.items() if top]
        assert max(ratios) <= 1.000001, method
        assert sum(ratio < 0.99 for ratio in ratios) > len(ratios) / 3, method


def test_entropy_is_a_real_search_on_real_pictures(tmp_path: Path, screw: Path, resnet18_weights: Path) -> None:
    from aand_edge.export.graph import write_graph
    from aand_edge.model.aand import Aand
    from aand_edge.model.fused import FusedAand
    from aand_edge.model.weights import load_teacher

    model = Aand("resnet18", 128)
    load_teacher(model.teacher, model.backbone, resnet18_weights)
    facts = GraphFacts("screw", "resnet18", 128, (128, 128), "RGB", "fp32", "0" * 64)
    write_graph(FusedAand(model, colour="RGB"), facts, tmp_path / "screw.fp32.onnx")
    files = sorted((screw / "train/good").iterdir())[:3]
    pictures = [resize(read_picture(path), 128, 128) for path in files]
    ranges = {
        method: read_ranges(tmp_path / "screw.fp32.onnx", pictures, CalibrationOptions(method))
        for method in ("minmax", "entropy")
    }
    ratios = [ranges["entropy"][name].range / each.range for name, each in ranges["minmax"].items()]
    assert max(ratios) <= 1.000001
    assert sum(ratio < 0.98 for ratio in ratios) > len(ratios) / 3


def test_build_follows_the_table_that_calibrate_wrote(export: Export, tmp_path: Path) -> None:
    fp32 = export(precision="fp32")
    assert latest_options(tmp_path, fp32.graph) is None
    for options in (CalibrationOptions("mse"), CalibrationOptions(share=99.5, images=2, anomalies=True)):
        path = table_path(tmp_path, fp32.graph, options)
        calibrate(fp32.graph, fp32.holdout, path, options)
        os.utime(path, ns=(path.stat().st_atime_ns, time.time_ns()))
        assert latest_options(tmp_path, fp32.graph) == options


def test_the_newest_table_is_the_one_last_asked_for_and_no_other_models(export: Export, tmp_path: Path) -> None:
    fp32 = export(precision="fp32")
    for method in ("minmax", "percentile", "minmax"):
        options = CalibrationOptions("minmax" if method == "minmax" else "percentile")
        time.sleep(0.01)
        calibrate(fp32.graph, fp32.holdout, table_path(tmp_path, fp32.graph, options), options)
    found = latest_options(tmp_path, fp32.graph)
    assert found is not None
    assert found.method == "minmax", "used again, it is the newest"
    stem = fp32.graph.name.removesuffix(".fp32.onnx")
    table_path(tmp_path, fp32.graph, CalibrationOptions()).rename(tmp_path / f"{stem}.v2.percentile.json")
    os.utime(tmp_path / f"{stem}.v2.percentile.json")
    found = latest_options(tmp_path, fp32.graph)
    assert found is not None
    assert found.method == "minmax", "the other table is another model's"


def test_a_table_is_used_again_until_what_it_holds_for_changes(export: Export, tmp_path: Path) -> None:
    fp32 = export(precision="fp32")
    path = table_path(tmp_path, fp32.graph, CalibrationOptions())
    assert path.name == "part.percentile.json"
    said: list[str] = []
    first = calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(), say=said.append)
    written = path.stat().st_ino
    assert calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(), say=said.append) == first
    assert path.stat().st_ino == written
    assert said == []
    fewer = calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(images=2), say=said.append)
    assert fewer.key != first.key
    assert said == ["calibrating again: part.percentile.json was made for images 16, wanted is 2"]


def test_a_table_of_another_version_or_a_torn_one_is_made_anew(export: Export, tmp_path: Path) -> None:
    fp32 = export(precision="fp32")
    path = table_path(tmp_path, fp32.graph, CalibrationOptions())
    made = calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions())
    old = made.model_copy(update={"holds_for": {"graph_sha256": "0"}})
    old.write(path)
    assert latest_options(tmp_path, fp32.graph) is None
    assert calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions()) == made
    path.write_text('{"format": 1, "key"')
    assert latest_options(tmp_path, fp32.graph) is None
    with pytest.raises(ArtefactMismatchError, match=r"The calibration table .* is damaged"):
        calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(), locked=True)
    assert calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions()) == made


@pytest.mark.parametrize("anomalies", [False, True])
def test_a_graph_tells_the_pictures_that_were_there_and_not_those_asked_for(
    export: Export, tmp_path: Path, anomalies: bool
) -> None:
    fp32 = export(precision="fp32")
    table = calibrate(fp32.graph, fp32.holdout, tmp_path / "part.json", CalibrationOptions(anomalies=anomalies))
    write_int8(export(precision="fp16").graph, table, Quantisation(BY_DEFAULT), tmp_path / "part.int8.onnx")
    assert GraphFacts.from_graph(tmp_path / "part.int8.onnx").calibrated_on == 3


def test_a_locked_table_is_not_replaced(export: Export, tmp_path: Path) -> None:
    fp32 = export(precision="fp32")
    path = tmp_path / "part.json"
    with pytest.raises(ArtefactMismatchError, match="There is no calibration table"):
        calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(), locked=True)
    made = calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions())
    assert calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(), locked=True) == made
    with pytest.raises(ArtefactMismatchError, match=r"was made for share 99\.999, wanted is 99\.9"):
        calibrate(fp32.graph, fp32.holdout, path, CalibrationOptions(share=99.9), locked=True)
    assert CalibrationTable.read(path) == made


def test_pictures_stream(export: Export) -> None:
    """Memory does not grow with the number of pictures."""
    fp32 = export(precision="fp32")
    frame = HoldoutSet.read(fp32.holdout).frames[0]

    def peak(count: int) -> int:
        tracemalloc.start()
        read_ranges(fp32.graph, [frame] * count, CalibrationOptions())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(24) < 1.2 * peak(3)


def test_anomalies_are_looked_at_on_request(export: Export, tmp_path: Path) -> None:
    fp32 = export(precision="fp32")
    made = calibrate(fp32.graph, fp32.holdout, tmp_path / "a.json", CalibrationOptions("minmax", anomalies=True))
    plain = calibrate(fp32.graph, fp32.holdout, tmp_path / "b.json", CalibrationOptions("minmax"))
    assert made.holds_for["pictures"] > plain.holds_for["pictures"] == 3
    assert all(made.ranges()[name] >= plain.ranges()[name] for name in plain.ranges())
    assert made.ranges() != plain.ranges()


def facts(height: int, width: int, roi: tuple[int, int, int, int] | None = None) -> GraphFacts:
    return GraphFacts("part", "resnet18", 64, (height, width), "BGR", "fp32", "0" * 64, roi=roi)


@pytest.mark.parametrize(("height", "width"), [(96, 128), (300, 1000)])
def test_synthetic_anomalies_lie_where_their_masks_say(height: int, width: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, height, width, 3), dtype=np.uint8)
    made = with_anomalies(frames, facts(height, width))
    assert {frame.shape for frame in made.frames} == {(height, width, 3)}
    assert len(made.frames) == len(made.masks) > 2
    assert all(mask.any() for mask in made.masks)
    untouched = [
        (frame[~mask] == original[~mask]).all()
        for frame, mask in zip(made.frames, made.masks, strict=True)
        for original in frames
    ]
    assert sum(untouched) >= len(made.frames), "outside its mask each picture is one of the originals"


def test_synthetic_anomalies_lie_within_the_region_that_the_graph_looks_at() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 96, 128, 3), dtype=np.uint8)
    made = with_anomalies(frames, facts(96, 128, (64, 16, 48, 64)))
    outside = np.stack(made.masks)
    outside[:, 16:80, 64:112] = False
    assert len(made.masks) > 4
    assert not outside.any()


def test_where_no_anomaly_can_be_made_it_is_told() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="No synthetic anomaly could be put"):
        with_anomalies(frames, facts(96, 128, (0, 0, 1, 1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"method": "kl"}, "no calibration method 'kl'"), ({"share": 0.0}, "no percentile"), ({"images": 0}, "too few")],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CalibrationOptions(**wrong)  # type: ignore[arg-type]


def test_a_half_precision_graph_is_not_calibrated(export: Export, tmp_path: Path) -> None:
    fp16 = export(precision="fp16")
    with pytest.raises(UsageError, match="Calibrate the fp32 graph"):
        calibrate(fp16.graph, fp16.holdout, tmp_path / "t.json", CalibrationOptions())


def test_a_tensor_that_is_not_finite_is_named(export: Export, tmp_path: Path) -> None:
    model = onnx.load(export(precision="fp32").graph)
    broken = next(each for each in model.graph.initializer if each.name.startswith("trunk.bottleneck"))
    name = broken.name
    broken.CopyFrom(numpy_helper.from_array(np.full(tuple(broken.dims), np.inf, np.float32), name))
    onnx.save_model(model, str(tmp_path / "part.fp32.onnx"))
    frames = HoldoutSet.read(export(precision="fp32").holdout).frames
    with pytest.raises(AandEdgeError, match="is not finite on a calibration picture"):
        read_ranges(tmp_path / "part.fp32.onnx", frames, CalibrationOptions())
    assert Probe(export(precision="fp32").graph).names


# The validator


def test_a_valid_graph_has_no_problems_and_is_described(export: Export, int8: Path) -> None:
    report = validate(int8)
    assert report.problems == ()
    assert report.opset == 20
    assert report.quantised_activations > 40
    assert set(report.types["head"]) == {"float32"}
    assert "float16" in report.types["teacher1"]
    assert validate(export(precision="fp32").graph).scales is None


def _spoil_zero(model: onnx.ModelProto) -> None:
    zero = next(each for each in model.graph.initializer if each.name.endswith(".zero"))
    zero.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), zero.name))


def _spoil_type(model: onnx.ModelProto) -> None:
    zero = next(each for each in model.graph.initializer if each.name.endswith(".zero"))
    zero.CopyFrom(numpy_helper.from_array(np.array(0, np.uint8), zero.name))


def _spoil_scale(model: onnx.ModelProto) -> None:
    scale = next(each for each in model.graph.initializer if each.name.endswith(".scale"))
    scale.CopyFrom(numpy_helper.from_array(np.array(0, np.float16), scale.name))


def _spoil_operator(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Erf"


def _spoil_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


def _spoil_place(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "QuantizeLinear").metadata_props[0].value = "head"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_spoil_zero, "zero point of node '.+' is not 0"),
        (_spoil_type, "is uint8 in place of int8"),
        (_spoil_scale, "a scale of node '.+' is zero, negative or not finite"),
        (_spoil_operator, "the operator Erf of node '.+' is outside the supported list"),
        (_spoil_opset, "opset 21 in place of 20"),
        (_spoil_place, "quantises the region 'head'"),
    ],
)
def test_what_an_engine_would_misread_is_refused_with_the_nodes_name(
    int8: Path, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], message: str
) -> None:
    model = onnx.load(int8)
    spoil(model)
    path = tmp_path / "spoilt.int8.onnx"
    onnx.save_model(model, str(path))
    with pytest.raises(ArtefactMismatchError, match=message):
        validate(path).raise_for_problems(path)


def test_a_name_that_lies_about_the_precision_is_refused(export: Export, int8: Path) -> None:
    fp32, fp16 = (onnx.load(export(precision=precision).graph) for precision in ("fp32", "fp16"))
    facts = {p: GraphFacts("part", "x", 64, (64, 64), "BGR", p, "0" * 64) for p in ("fp32", "fp16", "int8")}
    assert "no convolution runs in float16" in inspect_model(fp32, facts["fp16"]).problems[0]
    assert "convolutions run in float16" in inspect_model(fp16, facts["fp32"]).problems[0]
    assert "holds no Q/DQ pairs" in inspect_model(fp16, facts["int8"]).problems[0]
    assert "holds Q/DQ pairs" in inspect_model(onnx.load(int8), facts["fp16"]).problems[0]


# Why each engine has a threshold of its own


def test_the_threshold_of_another_precision_misjudges(export: Export, tmp_path: Path) -> None:
    """Quantisation shifts all scores: the engine's own threshold takes that up, another engine's does not."""
    fp32 = export(precision="fp32")
    table = calibrate(fp32.graph, fp32.holdout, tmp_path / "t.json", CalibrationOptions(share=90.0))
    write_int8(
        export(precision="fp16").graph, table, Quantisation(BY_DEFAULT, weight_bits=7), tmp_path / "part.int8.onnx"
    )
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (24, 6, 6, 3), dtype=np.uint8)
    frames = small.repeat(11, axis=1)[:, :64].repeat(11, axis=2)[:, :, :64]
    backend = find_backend("openvino")
    scores = {}
    for precision, graph in (("fp32", fp32.graph), ("int8", tmp_path / "part.int8.onnx")):
        built = backend.build(graph, BuildOptions(precision))  # type: ignore[arg-type]
        (tmp_path / "engine").write_bytes(built.plan)
        with backend.load(tmp_path / "engine", built.options) as runner:
            scores[precision] = score_frames(runner, frames, 1)
    thresholds = {precision: conformal_threshold(each, 0.05) for precision, each in scores.items()}
    assert thresholds["int8"].rejects(scores["int8"]).sum() <= 1
    shift = thresholds["int8"].value - thresholds["fp32"].value
    assert abs(shift) > 0.5 * scores["int8"].std(), "swapped, it rejects good parts or passes defects"
    if shift > 0:
        assert thresholds["fp32"].rejects(scores["int8"]).sum() > 3
    else:
        assert thresholds["int8"].rejects(scores["fp32"]).sum() > 3


# What an engine really runs in


def test_openvino_counts_convolutions_and_not_the_frames_bytes(export: Export, int8: Path) -> None:
    import openvino

    core = openvino.Core()
    plain = core.read_model(export(precision="fp16").graph)
    compiled = core.compile_model(plain, "CPU")
    assert "u8" in executed_precisions(compiled), "the frame is bytes in any graph"
    assert (int8_convolutions(compiled), quantised_convolutions(plain)) == (0, 0)
    quantised = read_marked(core, int8)[0]
    weights = inspect_model(onnx.load(int8), GraphFacts.from_graph(int8)).quantised_weights
    executed = int8_convolutions(core.compile_model(quantised, "CPU"))
    assert 10 < weights - 2 <= executed <= quantised_convolutions(quantised) == weights


def test_openvino_takes_values_that_are_never_negative_as_unsigned_bytes(int8: Path) -> None:
    import openvino

    model = openvino.Core().read_model(int8)
    quantisers = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    turned = use_unsigned(model)
    assert 10 < turned < len(quantisers), "what may be negative is left alone"
    left = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize" and node in quantisers]
    assert len(left) == len(quantisers) - turned


@pytest.mark.parametrize(("first", "steps"), [("Relu", 255), ("Identity", 127)])
def test_unsigned_bytes_have_half_as_wide_steps_to_the_same_end(tmp_path: Path, first: str, steps: int) -> None:
    import openvino

    end = 2.0
    scale, zero = np.float32(end / 127), np.int8(0)
    nodes = [
        onnx.helper.make_node(first, ["x"], ["cut"]),
        onnx.helper.make_node("QuantizeLinear", ["cut", "scale", "zero"], ["bytes"]),
        onnx.helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["y"]),
    ]
    typed = [onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [1001]) for name in "xy"]
    constants = [numpy_helper.from_array(scale, "scale"), numpy_helper.from_array(zero, "zero")]
    graph = onnx.helper.make_graph(nodes, "pair", typed[:1], typed[1:], constants)
    onnx.save_model(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), tmp_path / "p.onnx"
    )
    model = openvino.Core().read_model(tmp_path / "p.onnx")
    assert use_unsigned(model) == (first == "Relu")
    values = np.linspace(-end if first == "Identity" else 0, 1.5 * end, 1001, dtype=np.float32)
    answers = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(values)[0]
    assert np.abs(answers - values.clip(max=end)).max() == pytest.approx(end / steps / 2, rel=0.02)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_map_head_stays_in_float32_where_openvino_would_run_it_in_half(
    export: Export, int8: Path, precision: str
) -> None:
    """Marked, on any CPU; and on one with bfloat16, read back from what will run."""
    import openvino

    core = openvino.Core()
    model, held = read_marked(core, int8 if precision == "int8" else export(precision="fp16").graph)
    types = {node.get_friendly_name(): node.get_output_element_type(0).to_string() for node in model.get_ops()}
    marked = {node.get_friendly_name() for node in model.get_ops() if _marks(node)}
    assert held == marked
    assert {types[name] for name in held} == {"f32"}
    assert sum("matmul" in name for name in held) == 6, "up-sampling and blur of three levels"
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bfloat16: what OpenVINO does with the marks cannot be seen here")
    compiled = core.compile_model(model, "CPU")
    assert executed_precisions(compiled)["bf16"] > 10
    assert narrowed(compiled, held) == 0


def _marks(node: Any) -> list[str]:
    return [key for key in node.get_rt_info().keys() if "precis" in key.lower()]  # noqa: SIM118 (no mapping)


def test_an_int8_engine_whose_convolutions_are_not_is_refused(export: Export, tmp_path: Path) -> None:
    with pytest.raises(ArtefactMismatchError, match=r"would run no convolution of \S+ in it"):
        find_backend("openvino").build(export(precision="fp16").graph, BuildOptions("int8"))


def test_weights_too_wide_for_this_cpu_are_neither_built_nor_loaded(
    export: Export, int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = type(find_backend("openvino"))
    monkeypatch.setattr(backend, "int8_weight_bits", lambda self: 8)
    request = BuildRequest(
        int8, export(precision="fp16").holdout, tmp_path / "engines", BuildOptions("int8"), "openvino"
    )
    request = replace(request, budget={"measured": "elsewhere"})  # 8 bits saturate here: their scores are far off
    path, manifest = build_engine(request)
    assert (manifest.weight_bits, manifest.quantised) == (8, BY_DEFAULT)
    monkeypatch.setattr(backend, "int8_weight_bits", lambda self: 7)
    with pytest.raises(ArtefactMismatchError, match=r"8 bits, this CPU adds up products of 7 at most\. Build it here"):
        load_engine(path)
    with pytest.raises(ArtefactMismatchError, match=r"export \S+ --precision int8 --weight-bits 7"):
        build_engine(request)
