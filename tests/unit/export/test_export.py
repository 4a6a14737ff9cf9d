"""A trained model becomes one graph that answers as PyTorch does, or no graph at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from aand_edge.artifacts import ModelCard
from aand_edge.cli.graphs import GraphFiles, Taken, find_graph
from aand_edge.config import Workspace
from aand_edge.errors import AandEdgeError, DataError, UsageError
from aand_edge.export import parity
from aand_edge.export.export import Exported, ExportOptions, _drawn, export_model
from aand_edge.export.graph import OPSET
from aand_edge.graph_facts import GraphFacts, check_seal
from aand_edge.holdout import HoldoutSet
from tests.graphs import tiny_frames, write_tiny_graph

FRAME = (200, 120)  # width, height, as in conftest.py

Export = Callable[..., Exported]


@pytest.mark.parametrize(("side", "most"), [(256, 128), (1024, 128), (1600, 69), (4000, 64)])
def test_as_many_held_out_pictures_travel_as_memory_allows(side: int, most: int) -> None:
    names = [f"{number}.png" for number in range(300)]
    drawn = _drawn(names, 3 * side * side)
    assert len(set(drawn)) == most
    assert drawn != tuple(names[:most]), "the first are those of one shift"
    assert _drawn(names[:9], 3 * side * side) == tuple(names[:9])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_graph_keeps_its_contract(model: Path, export: Export, precision: str) -> None:
    exported = export(precision=precision)
    graph = onnx.load(exported.graph)
    assert [(each.domain, each.version) for each in graph.opset_import if not each.domain] == [("", OPSET)]
    session = ort.InferenceSession(str(exported.graph))
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("image", "tensor(uint8)", [1, 64, 64, 3])
    ]
    outputs = {each.name: (each.type, each.shape) for each in session.get_outputs()}
    assert outputs == {"anomaly_map": ("tensor(float)", [1, 64, 64]), "score": ("tensor(float)", [1])}
    assert GraphFacts.from_graph(exported.graph) == exported.facts
    assert exported.facts.weights == ModelCard.read(model / "card.json").weights["sha256"]
    assert not {node.op_type for node in graph.graph.node} & {"BatchNormalization", "Resize", "Softmax", "If", "Loop"}
    assert exported.parity.map_error_max <= (1e-4 if precision == "fp32" else 0.05)
    assert exported.parity.map_spread > 100 * exported.parity.map_error_mean


def test_an_exported_graph_carries_its_own_digest(export: Export) -> None:
    assert check_seal(export(precision="fp32").graph)


def test_half_precision_is_in_the_graph_and_the_map_head_is_not_in_it(export: Export) -> None:
    graph = onnx.load(export(precision="fp16").graph).graph
    convolutions = {node.input[1] for node in graph.node if node.op_type in ("Conv", "ConvTranspose")}
    halves = {each.name for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT16}
    assert len(convolutions & halves) > 50
    assert len(convolutions - halves) == 3  # the three matchings against the prototypes
    assert not {name for node in graph.node if node.op_type == "MatMul" for name in node.input} & halves


def test_held_out_pictures_travel_as_the_graph_takes_them(export: Export) -> None:
    exported = export(precision="fp32")
    holdout = HoldoutSet.read(exported.holdout)
    assert holdout.frames.shape == (3, 64, 64, 3)
    session = ort.InferenceSession(str(exported.graph))
    for frame, score in zip(holdout.frames, holdout.scores, strict=True):
        assert session.run(["score"], {"image": frame[None]})[0][0] == pytest.approx(score, abs=1e-4)


def test_resize_goes_into_the_graph(export: Export) -> None:
    exported = export(frame=FRAME)
    assert exported.graph.name == "part-200x120.fp32.onnx"
    assert exported.facts.frame == (120, 200)
    assert exported.facts.roi is None
    assert HoldoutSet.read(exported.holdout).frames.shape == (3, 120, 200, 3)


@pytest.mark.parametrize(("frame", "told"), [(FRAME, None), ((200, 118), None), ((64, 64), (120, 200)), (None, None)])
def test_a_frame_of_another_shape_than_the_pictures_is_told(
    export: Export, frame: tuple[int, int] | None, told: tuple[int, int] | None
) -> None:
    assert export(frame=frame).stretched == told


def test_the_graph_of_a_region_crops_the_frames_that_it_was_trained_on(of_region: Path, export: Export) -> None:
    exported = export(region=True)
    assert exported.graph.name == "region.fp32.onnx", "the region is the model's own"
    assert (exported.facts.frame, exported.facts.roi) == ((120, 200), (40, 10, 120, 100))
    holdout = HoldoutSet.read(exported.holdout)
    whole = [cv2.imread(str(of_region.parent / "data" / name)) for name in holdout.names]
    assert np.array_equal(holdout.frames, np.stack(whole)), "the camera's frames, as they are"
    session = ort.InferenceSession(str(exported.graph))
    (anomaly_map,) = session.run(["anomaly_map"], {"image": whole[0][None]})
    whole[0][:10], whole[0][:, :40], whole[0][110:], whole[0][:, 160:] = 0, 0, 0, 0
    assert np.array_equal(session.run(["anomaly_map"], {"image": whole[0][None]})[0], anomaly_map)


@pytest.mark.parametrize("asked", [None, "200x120"])
def test_a_graph_of_a_region_serves_as_it_lies_there(of_region: Path, export: Export, asked: str | None) -> None:
    exported = export(region=True)
    written = exported.graph.stat().st_mtime_ns
    files = find_graph(Workspace.open(of_region), str(of_region), "fp32", Taken(asked))
    assert files == GraphFiles(exported.graph, exported.holdout)
    assert exported.graph.stat().st_mtime_ns == written


def test_a_model_of_a_region_takes_no_other_frame(of_region: Path) -> None:
    sentence = "looks at the region 120x100\\+40\\+10 of 200x120. Leave --frame 400x240 out"
    with pytest.raises(UsageError, match=sentence):
        export_model(of_region, ExportOptions(frame=(400, 240)))
    with pytest.raises(UsageError, match=sentence):
        find_graph(Workspace.open(of_region), str(of_region), "fp32", Taken("400x240"))


def test_a_batch_is_static(model: Path, export: Export) -> None:
    exported = export(frame=(64, 64), batch=3, colour="RGB")
    session = ort.InferenceSession(str(exported.graph))
    assert session.get_inputs()[0].shape == [3, 64, 64, 3]
    assert (exported.facts.batch, exported.facts.colour) == (3, "RGB")
    assert exported.graph.name == "part-64x64-b3.fp32.onnx", "beside the one that takes one frame"


def test_a_batch_that_answers_for_another_of_its_frames_is_not_kept(tmp_path: Path) -> None:
    path, frames = tmp_path / "tiny.fp32.onnx", tiny_frames(5)
    write_tiny_graph(path, batch=2)
    maps = frames.astype(np.float32).mean(axis=3) / 255
    expected = parity.Reference(maps, maps.max(axis=(1, 2)))
    found = parity.check_parity(path, frames, expected, "fp32")
    assert (found.pictures, found.map_error_max) == (5, pytest.approx(0, abs=1e-6))
    assert found.map_error_mean == pytest.approx(0, abs=1e-6)
    graph = onnx.load(path)
    cast = next(node for node in graph.graph.node if node.output[0] == "anomaly_map")
    cast.output[0] = "each"
    graph.graph.initializer.append(onnx.helper.make_tensor("order", onnx.TensorProto.INT64, [2], [1, 0]))
    place = list(graph.graph.node).index(cast) + 1
    graph.graph.node.insert(place, onnx.helper.make_node("Gather", ["each", "order"], ["anomaly_map"], axis=0))
    onnx.save_model(graph, str(path))
    with pytest.raises(AandEdgeError, match="differs from PyTorch"):
        parity.check_parity(path, frames, expected, "fp32")


def test_a_graph_that_differs_is_not_kept(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (model / "part.fp32.onnx").read_bytes() if (model / "part.fp32.onnx").exists() else None
    monkeypatch.setitem(parity.MAP_TOLERANCE, "fp32", 0.0)
    with pytest.raises(AandEdgeError, match=r"^part\.fp32\.onnx differs from PyTorch"):
        export_model(model, ExportOptions())
    after = (model / "part.fp32.onnx").read_bytes() if (model / "part.fp32.onnx").exists() else None
    assert after == before
    assert not list(model.glob(".*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ExportOptions(precision="int8"), "fp32 or fp16"),
        (ExportOptions(batch=0), "--batch 1"),
        (ExportOptions(batch=100_000), "A batch of 100000 is too large.+--batch 64"),
    ],
)
def test_what_cannot_be_exported_is_said(model: Path, options: ExportOptions, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        export_model(model, options)


def test_missing_held_out_pictures_are_named(model: Path, tmp_path: Path) -> None:
    card = ModelCard.read(model / "card.json")
    card.data["root"] = str(tmp_path)
    for file in ("model.safetensors",):
        (tmp_path / file).write_bytes((model / file).read_bytes())
    card.write(tmp_path / "card.json")
    with pytest.raises(DataError, match=r"held-out picture .*0\.png is missing"):
        export_model(tmp_path, ExportOptions())
