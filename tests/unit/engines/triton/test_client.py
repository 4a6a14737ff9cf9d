"""An engine that a server runs: its manifest comes with it, and whatever is wrong between here and there is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from aand_edge.artifacts import EngineManifest
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.build import BuildRequest, build_engine
from aand_edge.engines.load import load_engine, read_manifest
from aand_edge.engines.triton.backend import Triton
from aand_edge.engines.triton.config import Serving, config_text
from aand_edge.engines.triton.uri import TritonUri
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, EngineFailedError, MissingDependencyError, UsageError
from aand_edge.export.served import serve_graph
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import LoopSettings
from aand_edge.runtime.reload import Reloader
from tests.broker import until
from tests.graphs import tiny_frames, tiny_scores
from tests.triton_server import TritonServer


def at(server: TritonServer, options: str = "") -> TritonUri:
    return TritonUri.parse(server.uri("tiny-fp32", options))


def export_again(plant: Path, false_rejects: float) -> EngineManifest:
    models = plant / "models/tiny"
    return serve_graph(
        plant / "repository", models / "tiny.fp32.onnx", models / "tiny.holdout.npz", Serving(), false_rejects
    ).manifest


def test_an_address_is_read_and_written() -> None:
    uri = TritonUri.parse("triton://box/part-fp16")
    assert (uri.server, uri.model, uri.stem, uri.timeout_ms) == ("box:8001", "part-fp16", "part-fp16", 2000)
    assert str(uri) == "triton://box:8001/part-fp16"
    uri = TritonUri.parse("triton://[::1]:9/part?timeout_ms=50")
    assert (uri.server, uri.timeout_ms) == ("[::1]:9", 50)
    assert TritonUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "triton://box",
        "triton:///part",
        "triton://box/a/b",
        "http://box/part",
        "triton://box:port/part",
        "triton://box/part?timeout_ms=soon",
        "triton://box/part?timeout_ms=0",
        "triton://box/part?retries=3",
        "triton://user:word@box/part",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"triton://HOST:8001/MODEL"):
        TritonUri.parse(text)


def test_a_served_engine_brings_its_manifest_and_answers(plant: Path, server: TritonServer) -> None:
    manifest, runner = load_engine(at(server))
    assert manifest == EngineManifest.read(plant / "repository/tiny-fp32/manifest.json") == read_manifest(at(server))
    frames = tiny_frames(2)
    with runner:
        outputs = runner.infer(frames[:1])
        np.testing.assert_allclose(outputs.score, tiny_scores(frames)[:1], atol=1e-6)
        np.testing.assert_allclose(outputs.anomaly_map.max(axis=(1, 2)), outputs.score)
        outputs.anomaly_map[:] = 1  # a caller's own, and not the message's bytes
        with pytest.raises(UsageError, match="The engine takes uint8 frames of 1 x 32 x 32 x 3"):
            runner.infer(frames)
    assert server.batches == [1]
    with pytest.raises(AandEdgeError, match="The engine is closed"):
        runner.infer(frames[:1])


def test_a_server_that_is_slow_away_or_back_is_told(server: TritonServer) -> None:
    _, runner = load_engine(at(server, "?timeout_ms=150"))
    frame = tiny_frames(1)
    with runner:
        server.delay = 0.4
        with pytest.raises(AandEdgeError, match="did not answer within 150 ms"):
            runner.infer(frame)
        server.delay = 0.0
        assert runner.infer(frame).score.shape == (1,)
        server.stop()
        with pytest.raises(AandEdgeError, match=rf"The Triton server 127\.0\.0\.1:{server.port} is away \(\w+") as away:
            runner.infer(frame)
    assert away.value.exit_code == 1
    with pytest.raises(AandEdgeError, match="is away"):
        load_engine(at(server))


def test_a_new_version_is_another_engine(plant: Path, server: TritonServer) -> None:
    """The loop's engine goes over to it, with its threshold, by the way that every failed engine goes."""
    with LiveEngine(at(server)) as live:
        first = live.manifest
        second = export_again(plant, 0.4)
        assert second.threshold != first.threshold
        server.reload()
        live.infer(tiny_frames(1))
        assert (live.restarts, live.manifest) == (1, second)


def test_the_server_is_asked_again_when_sighup_says_so(plant: Path, server: TritonServer) -> None:
    told: list[str] = []
    with LiveEngine(at(server)) as live:
        reloader = Reloader(plant, plant / "aand-edge.toml", live, [], {}, lambda notice: told.append(notice.text))
        second = export_again(plant, 0.4)
        server.reload()
        reloader.request()
        until(lambda: reloader(LoopSettings()) is not None and live.manifest == second)
        assert live.restarts == 0
    assert told[-1] == f"Changed to the new build of tiny.triton.fp32, threshold {second.threshold.value:.4f}"


def test_an_engine_whose_server_stays_away_has_failed(server: TritonServer) -> None:
    with LiveEngine(at(server)) as live:
        server.stop()
        with pytest.raises(EngineFailedError, match=r"The Triton server 127\.0\.0\.1:\d+ is away") as failed:
            live.infer(tiny_frames(1))
    assert failed.value.exit_code == 1


def test_a_model_that_is_not_there_or_not_ours_is_refused(plant: Path, server: TritonServer) -> None:
    with pytest.raises(ArtefactMismatchError, match="refuses other: Request for unknown model: 'other'"):
        load_engine(TritonUri.parse(server.uri("other")))
    config = server.models["tiny-fp32"].config
    text = config.parameters["aand.manifest"].string_value
    config.parameters["aand.manifest"].string_value = text.replace('"threshold"', '"limit"')
    with pytest.raises(ArtefactMismatchError, match="cannot be read: "):
        load_engine(at(server))
    del config.parameters["aand.manifest"]
    with pytest.raises(ArtefactMismatchError, match=r"has no manifest of aand-edge\. Write its repository with"):
        load_engine(at(server))


def test_a_server_that_runs_something_else_is_refused(plant: Path, server: TritonServer) -> None:
    config = server.models["tiny-fp32"].config
    config.platform = "tensorrt_plan"
    with pytest.raises(ArtefactMismatchError, match=r"accepted as onnxruntime_onnx, .* runs it as tensorrt_plan"):
        load_engine(at(server))
    config.platform = "onnxruntime_onnx"
    config.input[0].dims[0] = 64
    with pytest.raises(ArtefactMismatchError, match=r"says image UINT8 \(-1, 32, 32, 3\), .* UINT8 \(-1, 64, 32, 3\)"):
        load_engine(at(server))


def test_without_tritonclient_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aand_edge.engines.packages.found", lambda module: False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'aand-edge\[triton\]'"):
        load_engine(TritonUri.parse("triton://box/part"))


def request(plant: Path, server: str, **more: object) -> BuildRequest:
    models = plant / "models/tiny"
    return BuildRequest(
        models / "tiny.fp32.onnx",
        models / "tiny.holdout.npz",
        plant / "engines",
        BuildOptions("fp32", server=server),
        "triton",
        0.1,
        **more,  # type: ignore[arg-type]
    )


def test_a_server_is_accepted_as_it_answers(plant: Path, server: TritonServer) -> None:
    path, manifest = build_engine(request(plant, server.uri("tiny-fp32")))
    assert isinstance(manifest, EngineManifest)
    assert (path.name, manifest.engine) == ("tiny.triton.fp32.json", "tiny.triton.fp32.triton")
    assert manifest.backend == "triton"
    assert len(server.batches) == 12  # every held-out picture went there
    loaded, runner = load_engine(path)
    with runner:
        assert loaded.threshold.rejects(runner.infer(tiny_frames(1)).score).shape == (1,)
    assert build_engine(request(plant, server.uri("tiny-fp32"), reuse=True))[1] == manifest


def test_an_address_without_a_port_is_reused(
    plant: Path, server: TritonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server.uri("tiny-fp32")
    host, _, port = address.removeprefix("triton://").partition("/")[0].rpartition(":")
    monkeypatch.setattr("aand_edge.engines.triton.uri.PORT", int(port))
    asked = request(plant, address.replace(f"{host}:{port}", host), reuse=True)
    built = build_engine(asked)
    monkeypatch.setattr(Triton, "build", lambda *_: pytest.fail("it was built again"))
    assert build_engine(asked) == built


def test_an_accepted_server_that_changed_is_refused_with_the_command(plant: Path, server: TritonServer) -> None:
    path, _ = build_engine(request(plant, server.uri("tiny-fp32")))
    export_again(plant, 0.4)
    server.reload()
    hint = f"--backend triton --server {server.uri('tiny-fp32')}"
    with pytest.raises(ArtefactMismatchError, match="was built for version '1', this machine has '2'") as refused:
        load_engine(path)
    assert hint in refused.value.hint


def test_a_server_with_another_graph_is_not_accepted(plant: Path, server: TritonServer) -> None:
    graph = plant / "models/tiny/tiny.fp32.onnx"
    graph.write_bytes(graph.read_bytes() + b"\x42\x00")  # an empty field more: the same graph, other bytes
    with pytest.raises(ArtefactMismatchError, match=r"was made of a graph with SHA-256 .*, tiny\.fp32\.onnx has"):
        build_engine(request(plant, server.uri("tiny-fp32")))
    with pytest.raises(UsageError, match="The backend triton needs a server"):
        build_engine(request(plant, ""))


def test_quotes_and_other_letters_survive_the_configuration(plant: Path) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    manifest = EngineManifest.read(plant / "repository/tiny-fp32/manifest.json")
    odd = manifest.model_copy(update={"model": 'gro\\ß "4\n'})
    text = config_text("x", odd, "onnxruntime_onnx", 1, Serving())
    parsed = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert EngineManifest.model_validate_json(parsed.parameters["aand.manifest"].string_value) == odd
    assert "tritonclient" in sys.modules
