"""What is written for a server is what Triton's own schema reads, and what its graph is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from aand_edge.artifacts import EngineManifest, sha256_file
from aand_edge.engines.build import build_engine
from aand_edge.engines.triton.config import MANIFEST, Serving
from aand_edge.engines.triton.repository import Packed, pack_engine
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, UsageError
from aand_edge.export.dynamic import check_batches, write_dynamic
from aand_edge.export.served import serve_graph
from aand_edge.graph_facts import GraphFacts
from tests.graphs import SIZE, tiny_frames, tiny_request, tiny_scores, write_tiny_graph, write_tiny_model


def config_of(folder: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


def serve(plant: Path, serving: Serving) -> Packed:
    models = plant / "models/tiny"
    return serve_graph(plant / "repository", models / "tiny.fp32.onnx", models / "tiny.holdout.npz", serving, 0.2)


def test_a_graph_is_served_in_batches(packed: Path) -> None:
    folder = packed / "repository/tiny-fp32"
    config = config_of(folder)
    assert (config.name, config.platform, config.max_batch_size) == ("tiny-fp32", "onnxruntime_onnx", 8)
    assert [(each.name, list(each.dims)) for each in config.input] == [("image", [SIZE, SIZE, 3])]
    assert [(each.name, list(each.dims)) for each in config.output] == [("anomaly_map", [SIZE, SIZE]), ("score", [1])]
    assert config.output[1].HasField("reshape")
    assert list(config.output[1].reshape.shape) == []
    assert config.HasField("dynamic_batching")
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, model_config_pb2.ModelInstanceGroup.KIND_AUTO)
    assert list(config.version_policy.specific.versions) == [1]
    assert config.model_warmup[0].inputs["image"].zero_data
    assert sorted(each.name for each in folder.iterdir()) == ["1", "config.pbtxt", "manifest.json"]


def test_the_manifest_lies_beside_it_and_travels_in_the_configuration(packed: Path) -> None:
    folder = packed / "repository/tiny-fp32"
    manifest = EngineManifest.read(folder / "manifest.json")
    told = json.loads(config_of(folder).parameters[MANIFEST].string_value)
    assert EngineManifest.model_validate(told) == manifest
    assert (manifest.backend, manifest.batch, manifest.model) == ("triton", 1, "tiny")
    assert manifest.engine_sha256 == sha256_file(folder / "1/model.onnx")
    assert manifest.graph_sha256 == sha256_file(packed / "models/tiny/tiny.fp32.onnx")
    assert manifest.acceptance.pictures == 12
    assert "accepted with onnxruntime" in manifest.precision_note


def test_the_served_graph_takes_any_batch_and_answers_each_frame_alike(packed: Path) -> None:
    path = packed / "repository/tiny-fp32/1/model.onnx"
    session = ort.InferenceSession(str(path))
    assert session.get_inputs()[0].shape == ["batch", SIZE, SIZE, 3]
    assert GraphFacts.from_graph(path).batch == 0
    frames = tiny_frames(5)
    maps, scores = session.run(None, {"image": frames})
    assert maps.shape == (5, SIZE, SIZE)
    np.testing.assert_allclose(scores, tiny_scores(frames), atol=1e-6)


def test_a_graph_that_mixes_its_frames_is_not_served(tmp_path: Path) -> None:
    """Each map is measured against the brightest frame of the batch."""
    graph, holdout = write_tiny_model(tmp_path / "models")
    model = onnx.load(graph)
    kept = [each for each in model.graph.node if each.output[0] not in ("anomaly_map", "score")]
    top = onnx.helper.make_node("ReduceMax", ["mean"], ["top"], keepdims=1)
    less = onnx.helper.make_node("Div", ["mean", "top"], ["anomaly_map"])
    score = next(each for each in model.graph.node if each.output[0] == "score")
    del model.graph.node[:]
    model.graph.node.extend([*kept, top, less, score])
    onnx.save_model(model, str(graph))
    write_dynamic(graph, tmp_path / "dynamic.onnx")
    with pytest.raises(AandEdgeError, match="otherwise than frame by frame"):
        check_batches(graph, tmp_path / "dynamic.onnx", tiny_frames(4))
    with pytest.raises(AandEdgeError):
        serve_graph(tmp_path / "repository", graph, holdout, Serving(), 0.1)
    assert not (tmp_path / "repository").exists()


def test_a_graph_with_a_batch_inside_is_told(tmp_path: Path) -> None:
    graph = tmp_path / "tiny.fp32.onnx"
    write_tiny_graph(graph)
    model = onnx.load(graph)
    node = next(each for each in model.graph.node if each.output[0] == "anomaly_map")
    model.graph.initializer.append(onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [3], [1, SIZE, SIZE]))
    node.CopyFrom(onnx.helper.make_node("Reshape", ["mean", "shape"], ["anomaly_map"]))
    onnx.save_model(model, str(graph))
    with pytest.raises(AandEdgeError, match=r"The output anomaly_map of tiny\.fp32\.onnx has a fixed batch"):
        write_dynamic(graph, tmp_path / "dynamic.onnx")


def test_a_second_export_is_the_next_version_and_the_first_stays(plant: Path) -> None:
    folder = plant / "repository/tiny-fp32"
    before = (folder / "1/model.onnx").read_bytes()
    again = serve(plant, Serving(1))
    assert (again.version, list(config_of(folder).version_policy.specific.versions)) == (2, [2])
    assert (folder / "1/model.onnx").read_bytes() == before
    assert again.manifest.options["version"] == "2"
    assert not config_of(folder).HasField("dynamic_batching")


def test_int8_is_left_to_tensorrt(tmp_path: Path) -> None:
    graph, holdout = write_tiny_model(tmp_path, "int8")
    with pytest.raises(UsageError, match="rounds int8 graphs of half precision wrongly"):
        serve_graph(tmp_path / "repository", graph, holdout, Serving(), 0.1)


def test_a_built_engine_is_served_as_it_is(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path, batch=2))
    packed = pack_engine(tmp_path / "repository", path, instances=3)
    config = config_of(packed.folder)
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (0, False)
    assert list(config.input[0].dims) == [2, SIZE, SIZE, 3]
    assert [list(each.dims) for each in config.output] == [[2, SIZE, SIZE], [2]]
    assert (packed.folder / "1/model.onnx").read_bytes() == (path.parent / manifest.engine).read_bytes()
    assert isinstance(manifest, EngineManifest)
    assert packed.manifest.threshold == manifest.threshold
    assert packed.manifest.batch == 2


def test_a_tensorrt_plan_is_served_on_gpus(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    assert isinstance(manifest, EngineManifest)
    plan = {"backend": "tensorrt", "name": "tiny.tensorrt.fp32", "device": {"device": "NVIDIA L4"}}
    other = manifest.model_copy(update=plan)
    other.write(path.with_name("tiny.tensorrt.fp32.json"))
    packed = pack_engine(tmp_path / "repository", path.with_name("tiny.tensorrt.fp32.json"))
    config = config_of(packed.folder)
    assert config.platform == "tensorrt_plan"
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert (packed.folder / "1/model.plan").is_file()
    assert "on NVIDIA L4" in packed.manifest.precision_note


def test_what_no_server_runs_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path, backend="openvino"))
    with pytest.raises(UsageError, match=r"Triton runs no openvino engine such as tiny\.openvino\.fp32"):
        pack_engine(tmp_path / "repository", path)
    path, manifest = build_engine(tiny_request(tmp_path))
    (path.parent / manifest.engine).write_bytes(b"another")
    with pytest.raises(ArtefactMismatchError, match="its manifest says"):
        pack_engine(tmp_path / "repository", path)
    assert not (tmp_path / "repository").exists()


def test_a_failed_export_leaves_the_served_version_as_it_was(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plant / "repository/tiny-fp32"
    before = (folder / "config.pbtxt").read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        serve(plant, Serving())
    assert (folder / "config.pbtxt").read_text() == before
    assert sorted(each.name for each in folder.iterdir()) == ["1", "config.pbtxt", "manifest.json"]


@pytest.mark.parametrize("serving", [{"max_batch": -1}, {"instances": 0}])
def test_a_server_without_copies_is_refused(serving: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Serving(**serving)
