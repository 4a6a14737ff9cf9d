"""ONNX Runtime on the CPU: the numeric reference. Its engine file is the fused graph itself."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aand_edge.engines.base import (
    Backend,
    BuildOptions,
    BuiltEngine,
    Frames,
    Outputs,
    Runner,
    check_frames,
    refuse_options,
)
from aand_edge.engines.cpu import int8_weight_bits, threads_of
from aand_edge.engines.packages import first_line, missing
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError

ELEMENTS = {"float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64", "uint8": "u8", "int8": "i8"}

EXACT_HALF_QUANTISATION = (1, 32)  # before it, QuantizeLinear of float16 truncates: all scores move


class OnnxRuntime(Backend):
    """The backend; see `base.Backend`."""

    name = "onnxruntime"
    suffix = ".onnx"

    def available(self) -> str | None:
        return missing("onnxruntime", "cpu")

    def version(self) -> str:
        import onnxruntime

        return str(onnxruntime.__version__)

    def device(self) -> dict[str, str]:
        return {"device": "CPU"}  # the graph runs on any: nothing of this machine is in the file

    def int8_weight_bits(self) -> int:
        return int8_weight_bits()

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        refuse_options(self.name, options, "threads")
        if options.precision == "int8" and _version_of(self.version()) < EXACT_HALF_QUANTISATION:
            raise MissingDependencyError(
                f"ONNX Runtime {self.version()} rounds wrongly where half precision is quantised, 1.32 does not",
                "Update it, or take --backend openvino.",
            )
        executed = executed_precisions(graph, options.threads)
        in_half = executed.get("f16", 0)
        return BuiltEngine(
            plan=graph.read_bytes(),
            executed=executed,
            device=self.device(),
            note=""
            if options.precision != "fp16" or in_half
            else "ONNX Runtime runs the half-precision graph in float32",
            options={"threads": options.threads, "precision": options.precision},
        )

    def load(self, engine: Path, options: Mapping[str, Any]) -> OnnxRuntimeRunner:
        try:
            return OnnxRuntimeRunner(_session(engine, threads_of(options)))
        except AandEdgeError as error:
            raise ArtefactMismatchError(error.message, "Build it again with `aand-edge build`.") from None


class OnnxRuntimeRunner(Runner):
    """A loaded graph."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._shape = tuple(session.get_inputs()[0].shape)

    def infer(self, frames: Frames) -> Outputs:
        """See `base.Runner`. Raises UsageError for frames of another shape or type."""
        if self._session is None:
            raise AandEdgeError("The engine is closed", "Load it again.")
        check_frames(frames, self._shape)
        anomaly_map, score = self._session.run(["anomaly_map", "score"], {"image": frames})
        return Outputs(anomaly_map, score)

    def close(self) -> None:
        self._session = None


def _version_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def executed_precisions(graph: Path, threads: int = 0) -> dict[str, int]:
    """Element type → nodes that answer in it, from the profile of one blank frame."""
    with tempfile.TemporaryDirectory() as folder:
        session = _session(graph, threads, profile=Path(folder) / "profile")
        session.run(None, {each.name: np.zeros(each.shape, np.uint8) for each in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    counts: Counter[str] = Counter()
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            kinds = [kind for output in event["args"]["output_type_shape"] for kind in output]
            counts.update(ELEMENTS.get(kind, kind) for kind in kinds[:1])
    return dict(counts.most_common())


def _session(graph: Path, threads: int, profile: Path | None = None) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    # Otherwise its threads spin on after each frame, and take the processor from whatever runs beside it.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if profile is not None:
        settings.enable_profiling, settings.profile_file_prefix = True, str(profile)
    try:
        return onnxruntime.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own error classes have no common base but Exception
        raise AandEdgeError(f"ONNX Runtime refused {graph}: {first_line(error)}", "Export the graph again.") from None
