"""The two backends: `tensorrt` on Jetson and data-centre GPUs, `tensorrt-rtx` on RTX PCs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aand_edge.engines import cuda
from aand_edge.engines.base import Backend, BuildOptions, BuiltEngine, Difference, differing, refuse_options
from aand_edge.engines.tensorrt.build import build_plan
from aand_edge.engines.tensorrt.inspector import check_precision, executed_precisions
from aand_edge.engines.tensorrt.library import Library, collecting_logger, missing, open_library
from aand_edge.engines.tensorrt.runner import TensorRtRunner
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError

L4T_RELEASE = Path("/etc/nv_tegra_release")


class TensorRt(Backend):
    """The backend; see `base.Backend`."""

    name = "tensorrt"
    suffix = ".plan"

    def available(self) -> str | None:
        return missing(self.name)

    def runnable(self) -> str | None:
        return self.available() or cuda.missing()

    def version(self) -> str:
        return open_library(self.name).version

    def device(self) -> dict[str, str]:
        device = cuda.open_cuda()
        try:
            gpu = device.gpu()
        finally:
            device.close()
        facts = {"device": gpu.name, "compute_capability": gpu.compute_capability}
        return facts | ({"l4t": l4t} if (l4t := l4t_release()) else {})

    def differences(self, built: Mapping[str, str]) -> list[Difference]:
        here = self.device()
        if "targets" not in built:
            return differing(built, here)
        own = f"sm{here['compute_capability'].replace('.', '')}"
        return [] if own in built["targets"].split() else [Difference("targets", built["targets"], own)]

    def int8_weight_bits(self) -> int:
        return 8

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        refuse_options(self.name, options, "opt_level", "workspace_mb", "timing_cache", "log", "targets", "zero_copy")
        library = open_library(self.name)
        blind = cuda.missing()
        if blind and not options.targets:
            raise MissingDependencyError(
                f"{self.name} builds for the GPU at hand, and there is none: {blind}",
                "Build on the device"
                + (", or name GPUs with --target, say --target sm86,sm89." if library.is_rtx else "."),
            )
        if not blind:
            _check_gpu_memory(options)
        plan = build_plan(library, graph, options)
        device = {"targets": " ".join(options.targets)} if options.targets else self.device()
        elsewhere = blind or self.differences(device)
        executed, note = ({}, NOT_LOADED) if elsewhere else _inspect(library, plan.data)
        check_precision(options.precision, executed, library.name)
        if plan.typing == "weak":
            note = "; ".join(filter(None, ["built with weak types, whose precision TensorRT may widen", note]))
        return BuiltEngine(
            plan=plan.data,
            executed=executed,
            device=device,
            note=note,
            options={
                "precision": options.precision,
                "typing": plan.typing,
                "opt_level": options.opt_level,
                "workspace_mb": options.workspace_mb,
                "zero_copy": options.zero_copy,
            },
        )

    def load(self, engine: Path, options: Mapping[str, Any]) -> TensorRtRunner:
        reason = self.runnable()
        if reason:
            raise MissingDependencyError(f"{engine} needs {self.name} and a GPU: {reason}", "See `aand-edge doctor`.")
        library, data = open_library(self.name), engine.read_bytes()
        return TensorRtRunner(
            cuda.open_cuda, lambda: deserialise(library, data, engine), bool(options.get("zero_copy", False))
        )


class TensorRtRtx(TensorRt):
    """Builds without a GPU for named compute capabilities, and finishes its kernels where the engine is loaded."""

    name = "tensorrt-rtx"


NOT_LOADED = "built without its GPU, so that no engine could be inspected; its types are those of the graph"


def deserialise(library: Library, data: bytes, path: Path) -> Any:
    """The engine of a plan. Raises ArtefactMismatchError with TensorRT's reason where it cannot be read."""
    logger = collecting_logger(library)
    runtime = library.trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        reason = logger.errors[0].strip() if logger.errors else "no reason given"
        raise ArtefactMismatchError(f"{library.name} {library.version} cannot load {path}: {reason}", "Build it again.")
    return engine


def _check_gpu_memory(options: BuildOptions) -> None:
    device = cuda.open_cuda()
    try:
        free = device.gpu().free >> 20
    finally:
        device.close()
    if options.workspace_mb and options.workspace_mb > free:
        raise AandEdgeError(
            f"--workspace-mb {options.workspace_mb} is more than the GPU has free, {free} MiB",
            "Take a smaller one, or end what else runs on the GPU.",
        )


def _inspect(library: Library, data: bytes) -> tuple[dict[str, int], str]:
    engine = deserialise(library, data, Path("the engine that was just built"))
    executed = executed_precisions(library.trt, engine)
    return executed, "" if executed else f"{library.name} does not tell what its layers run in; the graph's types hold"


def l4t_release(path: Path = L4T_RELEASE) -> str:
    """Jetson's Linux version, such as "36.4.3"; "" elsewhere. An engine of another one may not load."""
    try:
        words = path.read_text(encoding="utf-8").split()
        return f"{words[words.index('#') + 1].removeprefix('R')}.{words[words.index('REVISION:') + 1].rstrip(',')}"
    except (OSError, ValueError, IndexError):
        return ""
