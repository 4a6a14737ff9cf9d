"""Building plans with a fake TensorRT that has the names of each release, and what is told when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aand_edge.engines import cuda
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.registry import FACTORIES, find_backend
from aand_edge.engines.tensorrt import backend as backends
from aand_edge.engines.tensorrt import library as libraries
from aand_edge.engines.tensorrt.backend import TensorRt, TensorRtRtx, l4t_release
from aand_edge.engines.tensorrt.build import Plan, build_plan, check_memory
from aand_edge.engines.tensorrt.inspector import check_precision, count_precisions
from aand_edge.engines.tensorrt.library import Library, open_library
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError, UsageError
from tests.graphs import write_tiny_graph
from tests.tensorrt_fakes import RELEASES, FakeCuda, FakeTrt

HALF = {"Outputs": [{"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}]}
INT8 = {"Inputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}], **HALF}


@pytest.fixture(params=RELEASES)
def trt(request: pytest.FixtureRequest) -> FakeTrt:
    return FakeTrt(request.param)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_tiny_graph(tmp_path / "tiny.fp16.onnx", "fp16")
    return tmp_path / "tiny.fp16.onnx"


@pytest.fixture
def machine(trt: FakeTrt, monkeypatch: pytest.MonkeyPatch) -> FakeTrt:
    """A machine with that TensorRT and a GPU."""
    monkeypatch.setattr(libraries, "import_module", lambda name: trt)
    monkeypatch.setattr(libraries, "found", lambda module: module == "tensorrt")
    monkeypatch.setattr(cuda, "missing", lambda: None)
    monkeypatch.setattr(cuda, "open_cuda", lambda: FakeCuda(trt.memory))
    monkeypatch.setattr(backends, "l4t_release", lambda: "")
    return trt


def library(trt: Any) -> Library:
    return Library("tensorrt", trt)


def test_a_plan_is_built_with_strong_types_whatever_the_release_calls_them(trt: FakeTrt, graph: Path) -> None:
    plan = build_plan(library(trt), graph, BuildOptions("fp16"))
    assert (plan.data, plan.typing) == (b"plan", "strong")
    assert "profiling_verbosity" in " ".join(trt.calls)


def test_each_option_reaches_tensorrt(trt: FakeTrt, graph: Path, tmp_path: Path) -> None:
    options = BuildOptions(
        "fp16", opt_level=5, workspace_mb=64, timing_cache=tmp_path / "t.cache", log=tmp_path / "build.log"
    )
    build_plan(library(trt), graph, options)
    assert "builder_optimization_level=5" in trt.calls
    assert {"set_memory_pool_limit", "create_timing_cache", "set_timing_cache", "serialize"} <= set(trt.calls)
    assert (tmp_path / "t.cache").read_bytes() == b"timings"
    assert (tmp_path / "build.log").is_file()


def test_weak_types_are_the_fallback_of_10_alone(trt: FakeTrt, graph: Path, tmp_path: Path) -> None:
    trt.builds_strongly = False
    options = BuildOptions("int8", log=tmp_path / "build.log")
    if trt.__version__.startswith("10."):
        assert build_plan(library(trt), graph, options).typing == "weak"
        assert trt.calls.count("set_flag") == 2
    else:
        with pytest.raises(AandEdgeError, match=r"cannot build tiny\.fp16\.onnx: no implementation for node conv1"):
            build_plan(library(trt), graph, options)
        assert "no implementation" in (tmp_path / "build.log").read_text(), "the log is there when it is needed"


def test_what_the_parser_refuses_is_told_with_its_node(trt: FakeTrt, graph: Path) -> None:
    trt.parses = False
    with pytest.raises(AandEdgeError, match="at node 'node_erf': unsupported op Erf"):
        build_plan(library(trt), graph, BuildOptions("fp16"))


def test_too_little_memory_is_told_before_the_build_is_killed(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 100000 kB\n")
    check_memory(graph, 0, tmp_path / "meminfo")
    with pytest.raises(AandEdgeError, match=r"needs about \d+ MiB, 97 MiB are free"):
        check_memory(graph, 2**30, tmp_path / "meminfo")


# The backend


def test_a_build_reads_back_what_the_engine_runs_in(machine: FakeTrt, graph: Path) -> None:
    machine.layers = [HALF, HALF, {"Outputs": [{"Format/Datatype": "Row major linear FP32"}]}, {"Name": "no tensors"}]
    built = TensorRt().build(graph, BuildOptions("fp16"))
    assert built.executed == {"f16": 2, "f32": 1}
    assert built.device == {"device": "Fake GPU", "compute_capability": "8.7"}
    assert built.options["typing"] == "strong"
    assert built.note == ""


@pytest.mark.parametrize(("precision", "layers"), [("fp16", []), ("int8", [HALF])])
def test_fp32_in_place_of_what_was_asked_for_is_an_error(
    machine: FakeTrt, graph: Path, precision: Any, layers: list[Any]
) -> None:
    machine.layers = [*layers, {"Outputs": [{"Format/Datatype": "Row major linear FP32 format"}]}]
    with pytest.raises(ArtefactMismatchError, match=f"{precision} was asked for and tensorrt built none of it"):
        TensorRt().build(graph, BuildOptions(precision))


def test_a_corrupt_plan_is_told_with_tensorrts_reason(machine: FakeTrt, tmp_path: Path) -> None:
    machine.deserialises = False
    (tmp_path / "x.plan").write_bytes(b"nonsense")
    with pytest.raises(ArtefactMismatchError, match=r"cannot load .*x\.plan: magic tag does not match"):
        TensorRt().load(tmp_path / "x.plan", {})


def test_auto_takes_tensorrt_where_there_is_one(machine: FakeTrt) -> None:
    assert find_backend("auto").name == "tensorrt"
    assert next(iter(FACTORIES)) == "tensorrt"


def test_another_gpu_or_system_is_a_difference(machine: FakeTrt) -> None:
    here = TensorRt().device()
    assert TensorRt().differences(here) == []
    other = TensorRt().differences({**here, "compute_capability": "8.9", "l4t": "36.4.3"})
    assert [(each.fact, each.built, each.here) for each in other] == [
        ("compute_capability", "8.9", "8.7"),
        ("l4t", "36.4.3", "none"),
    ]
    assert TensorRtRtx().differences({"targets": "sm86 sm87"}) == []
    assert [each.here for each in TensorRtRtx().differences({"targets": "sm86 sm120"})] == ["sm87"]


def test_an_engine_for_other_gpus_is_not_loaded_here(
    trt: FakeTrt, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "import_module", lambda name: trt)
    monkeypatch.setattr(libraries, "found", lambda module: module == "tensorrt_rtx_bindings")
    monkeypatch.setattr(cuda, "missing", lambda: None)
    monkeypatch.setattr(cuda, "open_cuda", lambda: FakeCuda(trt.memory))  # of compute capability 8.7
    monkeypatch.setattr(backends, "l4t_release", lambda: "")
    monkeypatch.setattr(backends, "build_plan", lambda *_: Plan(b"plan", "strong"))
    trt.deserialises = False
    built = TensorRtRtx().build(graph, BuildOptions("fp16", targets=("sm86",)))
    assert (built.executed, built.device) == ({}, {"targets": "sm86"})
    assert "without its GPU" in built.note
    with pytest.raises(ArtefactMismatchError):
        TensorRtRtx().build(graph, BuildOptions("fp16", targets=("sm87",)))


def test_targets_are_for_rtx_alone(machine: FakeTrt, graph: Path) -> None:
    with pytest.raises(UsageError, match="belongs to the GPU that it was built on"):
        TensorRt().build(graph, BuildOptions("fp16", targets=("sm86",)))


def test_more_scratch_memory_than_the_gpu_has_is_refused(machine: FakeTrt, graph: Path) -> None:
    with pytest.raises(AandEdgeError, match="--workspace-mb 4096 is more than the GPU has free, 1024 MiB"):
        TensorRt().build(graph, BuildOptions("fp16", workspace_mb=4096))


def test_an_option_without_effect_is_refused(graph: Path) -> None:
    for name in ("openvino", "onnxruntime"):
        with pytest.raises(UsageError, match="--opt-level has no effect"):
            FACTORIES[name]().build(graph, BuildOptions("fp16", opt_level=3))
    with pytest.raises(UsageError, match="--threads has no effect"):
        TensorRt().build(graph, BuildOptions("fp16", threads=2))


# What is missing


def test_a_machine_without_tensorrt_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "found", lambda module: False)
    assert "comes with JetPack" in str(TensorRt().available())
    assert "aand-edge[rtx]" in str(TensorRtRtx().available())
    with pytest.raises(MissingDependencyError, match="TensorRT is not installed"):
        find_backend("tensorrt")


def test_a_library_that_does_not_load_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(libraries, "import_module", broken)
    monkeypatch.setattr(libraries, "found", lambda module: True)
    assert "does not load (libnvinfer.so.10: cannot open" in str(TensorRt().available())


def test_a_release_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = FakeTrt("10.3")
    old.__version__ = "8.6.2"
    monkeypatch.setattr(libraries, "import_module", lambda name: old)
    monkeypatch.setattr(libraries, "found", lambda module: True)
    with pytest.raises(MissingDependencyError, match=r"8\.6\.2 is older than 10\.3"):
        open_library("tensorrt")


def test_a_machine_without_a_gpu_neither_builds_nor_loads(
    machine: FakeTrt, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "missing", lambda: "There is no NVIDIA driver or GPU here")
    assert "no NVIDIA driver" in str(TensorRt().runnable())
    with pytest.raises(MissingDependencyError, match="builds for the GPU at hand"):
        TensorRt().build(graph, BuildOptions("fp16"))
    with pytest.raises(MissingDependencyError, match="needs tensorrt and a GPU"):
        TensorRt().load(graph, {})


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        ("CUDA driver version is insufficient for CUDA runtime version", MissingDependencyError, "no NVIDIA driver"),
        ("no CUDA-capable device is detected", MissingDependencyError, "no NVIDIA driver or GPU"),
        ("out of memory", AandEdgeError, "out of memory"),
        ("cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY", AandEdgeError, "out of memory"),
        ("an illegal memory access was encountered", AandEdgeError, "CUDA failed in call"),
    ],
)
def test_cudas_failures_are_told_apart(words: str, kind: type[AandEdgeError], told: str) -> None:
    error = cuda.explained("call", words)
    assert type(error) is kind
    assert told in error.message
    assert error.hint


# The inspector


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("no JSON", {}),
        ("[]", {}),
        ('{"Layers": ["conv1", "conv2"]}', {}),  # verbosity too low
        ('{"Layers": [{"Outputs": [{"Format/Datatype": "BFloat16"}]}], "I/O Tensors": []}', {"bf16": 1}),
        ('{"Layers": [{"Outputs": [{"Datatype": "Half"}]}], "Bindings": []}', {"f16": 1}),
    ],
)
def test_the_inspectors_words_are_counted(text: str, counts: dict[str, int]) -> None:
    assert count_precisions(text) == counts


def test_a_layer_that_reads_int8_counts_as_int8() -> None:
    import json

    assert count_precisions(json.dumps({"Layers": [INT8, HALF]})) == {"i8": 1, "f16": 1}
    check_precision("int8", {"i8": 1, "f16": 1}, "tensorrt")
    check_precision("fp32", {"f32": 1}, "tensorrt")
    check_precision("fp16", {}, "tensorrt")  # a library that does not tell is said to, elsewhere


def test_jetsons_linux_is_named(tmp_path: Path) -> None:
    (tmp_path / "release").write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    assert l4t_release(tmp_path / "release") == "36.4.3"
    assert l4t_release(tmp_path / "nothing") == ""
