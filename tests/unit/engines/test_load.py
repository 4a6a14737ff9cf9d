"""Whatever is wrong with an engine is told before it is deserialised."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aand_edge.artifacts import Threshold
from aand_edge.engines.build import build_engine
from aand_edge.engines.load import export_command, list_engines, load_engine, rebuild_hint
from aand_edge.engines.openvino import OpenVino
from aand_edge.errors import ArtefactMismatchError
from aand_edge.graph_facts import GraphFacts
from tests.graphs import tiny_request


def test_what_a_build_is_just_writing_is_no_engine_yet(tmp_path: Path) -> None:
    (tmp_path / ".tiny.openvino.fp32-x1.json").write_text("{")
    (tmp_path / "tiny.openvino.fp32.json").write_text("{}")
    assert list_engines(tmp_path) == [tmp_path / "tiny.openvino.fp32.json"]


@pytest.mark.parametrize("end", ["flip", "truncate", "empty"])
def test_a_damaged_engine_is_found_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    path, manifest = build_engine(tiny_request(tmp_path, "openvino"))
    engine = path.parent / manifest.engine
    data = bytearray(engine.read_bytes())
    if end == "flip":
        data[len(data) // 2] ^= 1
    engine.write_bytes(b"" if end == "empty" else bytes(data[:-10] if end == "truncate" else data))
    monkeypatch.setattr(OpenVino, "load", lambda *_: pytest.fail("a damaged engine reached the backend"))
    with pytest.raises(ArtefactMismatchError, match="its manifest says") as caught:
        load_engine(path)
    assert "aand-edge build tiny --precision fp32 --backend openvino" in str(caught.value)
    assert caught.value.exit_code == 4


def change(path: Path, **values: Any) -> None:
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, **values}))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"device": {"device": "NVIDIA Orin", "formats": "FP16"}}, "built for device 'NVIDIA Orin', this machine has"),
        ({"backend_version": "2020.1"}, "was built with openvino 2020.1, here is 20"),
        ({"device": {}}, "built for device 'none', this machine has"),
        ({"backend": "teapot"}, "needs the backend 'teapot'"),
        ({"options": {}}, r"options in the manifest of .* are wrong \('precision'\)"),
        ({"options": {"precision": "fp32", "threads": "many"}}, "options in the manifest of .* are wrong"),
        ({"engine": "gone.blob"}, "is missing"),
        ({"batch": "many"}, r"The engine manifest .*\.json has a 'batch' that cannot be used"),
        ({"colours": "BGR"}, "has 'colours', which this version of aand-edge does not know"),
    ],
)
def test_a_manifest_that_does_not_fit_names_both_sides(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    path, _ = build_engine(tiny_request(tmp_path, "openvino"))
    change(path, **values)
    with pytest.raises(ArtefactMismatchError, match=sentence):
        load_engine(path)


def test_the_way_to_rebuild_names_everything_that_was_asked_for(tmp_path: Path) -> None:
    _, manifest = build_engine(tiny_request(tmp_path))
    other = {"frame": (720, 1280), "roi": (280, 0, 720, 720), "options": {"threads": 2, "precision": "fp32"}}
    gpu = {"opt_level": 0, "workspace_mb": 64, "zero_copy": True}
    quantised = manifest.model_copy(update={"quantised": ("teacher2", "bottleneck"), "options": gpu})
    assert (
        "--quantise teacher2,bottleneck --workspace-mb 64 --opt-level 0 --zero-copy --false-rejects 0.1`"
        in rebuild_hint(quantised)
    )
    assert "--backend onnxruntime --false-rejects 0.1`" in rebuild_hint(manifest)
    by_hand = {**other, "threshold": Threshold(value=0.5, rule="manual")}
    whole = {**by_hand, "roi": None}
    assert "--frame 1280x720 --threads 2`" in rebuild_hint(manifest.model_copy(update=whole))
    assert "--backend onnxruntime --threads 2`" in rebuild_hint(manifest.model_copy(update=by_hand)), "the model's own"
    assert "It is called" not in rebuild_hint(manifest)
    assert rebuild_hint(manifest.model_copy(update=other)).endswith("--threads 2 --false-rejects 0.1`.")
    assert rebuild_hint(manifest.model_copy(update={"frame": (720, 1280)})).endswith(
        "`. It is called tiny-1280x720.onnxruntime.fp32 then."
    ), "an older version left the frame out of the name"
    four = manifest.model_copy(update={"model": "line 1", "batch": 4, "colour": "RGB"})
    assert (
        "`aand-edge export 'line 1' --precision fp32 --batch 4 --colour RGB && "
        "aand-edge build 'line 1' --precision fp32 --backend onnxruntime --batch 4 --false-rejects 0.1`"
    ) in rebuild_hint(four)


def test_the_way_to_another_graph_names_everything_that_this_one_takes() -> None:
    plain = GraphFacts("part", "resnet18", 256, (256, 256), "BGR", "fp32", "0" * 64)
    assert export_command(plain, "fp16") == "aand-edge export part --precision fp16"
    taken = replace(plain, frame=(720, 1280), batch=2, colour="RGB", quantised=("bottleneck",))
    assert export_command(taken, "int8", 7) == (
        "aand-edge export part --precision int8 --frame 1280x720 --batch 2 --colour RGB "
        "--weight-bits 7 --quantise bottleneck"
    )
    of_region = replace(plain, frame=(720, 1280), roi=(280, 0, 720, 720))
    assert export_command(of_region, "fp16") == "aand-edge export part --precision fp16", "its frame is the model's own"


def test_an_engine_without_its_manifest_is_refused(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    path.unlink()
    with pytest.raises(ArtefactMismatchError, match="is missing"):
        load_engine(path.parent / manifest.engine)


def test_an_engine_that_was_renamed_is_told_its_own_name(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    engine = path.parent / manifest.engine
    copy = path.with_name("line2.json")
    copy.write_bytes(path.read_bytes())
    engine.with_name(f"line2{engine.suffix}").write_bytes(engine.read_bytes())
    for name in (copy, copy.with_suffix(engine.suffix)):
        with pytest.raises(
            ArtefactMismatchError, match=rf"line2\.json is the manifest of the engine {engine.name}"
        ) as no:
            load_engine(name)
        assert no.value.hint == f"Give both their names back: {path.name} and {engine.name}."


def test_an_engine_is_found_by_its_file_too(tmp_path: Path) -> None:
    path, manifest = build_engine(tiny_request(tmp_path))
    loaded, runner = load_engine(path.parent / manifest.engine)
    runner.close()
    assert loaded == manifest
    assert list_engines(path.parent) == [path]


def test_what_the_backend_refuses_is_told_with_the_way_to_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = build_engine(tiny_request(tmp_path, "openvino"))

    def refuse(*_: Any) -> None:
        raise ArtefactMismatchError("built for another instruction set", "Build it again.")

    monkeypatch.setattr(OpenVino, "load", refuse)
    with pytest.raises(ArtefactMismatchError, match="another instruction set") as caught:
        load_engine(path)
    assert "aand-edge build tiny --precision fp32 --backend openvino" in caught.value.hint
