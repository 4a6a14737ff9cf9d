"""From a fused graph to a plan: parse, configure, build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aand_edge.artifacts import atomic_path, write_text
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.tensorrt.library import Library, collecting_logger
from aand_edge.errors import AandEdgeError, UsageError

MIB = 2**20
# Weights, their converted copies and a tactic's scratch memory: what a build was seen to need, in sizes of the graph.
BUILD_FACTOR = 6
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Plan:
    """A serialised engine, and whether it had to be built with weak types."""

    data: bytes
    typing: str  # "strong" or "weak"


def build_plan(library: Library, graph: Path, options: BuildOptions) -> Plan:
    """Build `graph`. Raises AandEdgeError with TensorRT's first error, and writes its whole log where asked."""
    workspace = options.workspace_mb * MIB if options.workspace_mb else None
    check_memory(graph, workspace or 0)
    logger = collecting_logger(library)
    try:
        plan = _build(library, logger, graph, options, strong=True)
        typing = "strong"
        if plan is None and library.weak_typing:
            plan, typing = _build(library, logger, graph, options, strong=False), "weak"
    finally:
        if options.log is not None:
            write_text(options.log, "\n".join(logger.lines) + "\n")
    if plan is None:
        log = f"; the log is in {options.log}" if options.log else ""
        raise AandEdgeError(
            f"{library.name} {library.version} cannot build {graph.name}: {_first(logger.errors)}{log}",
            "Try --precision fp16 or fp32, or a smaller --workspace-mb.",
        )
    return Plan(plan, typing)


def check_memory(graph: Path, workspace: int, meminfo: Path = MEMINFO) -> None:
    """Raises AandEdgeError where a build would not fit: a Jetson's is killed without a word."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines() if ":" in line)
        available = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return
    needed = BUILD_FACTOR * graph.stat().st_size + workspace
    if needed > available:
        raise AandEdgeError(
            f"Building {graph.name} needs about {needed // MIB} MiB, {available // MIB} MiB are free",
            "End what else runs, add swap, or take a smaller --workspace-mb.",
        )


def _build(library: Library, logger: Any, graph: Path, options: BuildOptions, strong: bool) -> bytes | None:
    trt = library.trt
    builder = trt.Builder(logger)
    network = builder.create_network(_strongly_typed(trt) if strong else 0)
    _parse(library, network, logger, graph)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector names no precision
    if options.workspace_mb:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * MIB)
    if options.opt_level is not None:
        config.builder_optimization_level = options.opt_level
    if not strong:
        _weak_flags(trt, config, options.precision)
    _set_targets(library, config, options.targets)
    save_timings = _timing_cache(library, config, options.timing_cache)
    built = builder.build_serialized_network(network, config)
    if built is None:
        return None
    save_timings()
    return bytes(built)


def _strongly_typed(trt: Any) -> int:
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)  # 1 in 10.x, 0 in 11.x: never a constant


def _parse(library: Library, network: Any, logger: Any, graph: Path) -> None:
    parser = library.trt.OnnxParser(network, logger)
    if parser.parse(graph.read_bytes()):
        return
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    first = errors[0] if errors else None
    where = f" at node '{first.node_name()}'" if first is not None and first.node_name() else ""
    raise AandEdgeError(
        f"{library.name} cannot read {graph}{where}: {first.desc() if first is not None else 'no reason given'}",
        "Write it again with `aand-edge export`.",
    )


def _weak_flags(trt: Any, config: Any, precision: str) -> None:
    """In 10.x a weakly typed network takes its precision from flags; Q/DQ pairs need the int8 one."""
    if precision in ("fp16", "int8"):
        config.set_flag(trt.BuilderFlag.FP16)
    if precision == "int8":
        config.set_flag(trt.BuilderFlag.INT8)


def _set_targets(library: Library, config: Any, targets: tuple[str, ...]) -> None:
    if not targets:
        return
    if not library.is_rtx:
        raise UsageError(
            "An engine of TensorRT belongs to the GPU that it was built on", "Leave --target out, and build there."
        )
    known = library.trt.ComputeCapability.__members__
    config.num_compute_capabilities = len(targets)
    for number, target in enumerate(targets):
        if target.upper() not in known:
            names = ", ".join(name.lower() for name in known if name.startswith("SM"))
            raise UsageError(f"{library.name} {library.version} cannot build for '{target}'", f"Choose among {names}.")
        config.set_compute_capability(known[target.upper()], number)


def _timing_cache(library: Library, config: Any, path: Path | None) -> Callable[[], None]:
    """Use the measurements of earlier builds; the answer saves them. TensorRT-RTX has none: it measures at run time."""
    if path is None or library.is_rtx:
        return lambda: None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if not config.set_timing_cache(cache, False):  # of another version or GPU: it is replaced
        config.set_timing_cache(config.create_timing_cache(b""), False)

    def save() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(bytes(config.get_timing_cache().serialize()))

    return save


def _first(errors: list[str]) -> str:
    return errors[0].strip() if errors else "no reason given"
