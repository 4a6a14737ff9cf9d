"""ONNX Runtime on the CPU: the numeric reference. Its engine file is the fused graph itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from aand_edge.engines.base import BuildOptions, BuiltEngine, Frames, Outputs, check_frames
from aand_edge.errors import AandEdgeError, ArtefactMismatchError


class OnnxRuntime:
    """The backend; see `base.Backend`."""

    name = "onnxruntime"
    suffix = ".onnx"

    def available(self) -> str | None:
        if find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed (pip install 'aand-edge[cpu]')"
        return None

    def version(self) -> str:
        import onnxruntime

        return str(onnxruntime.__version__)

    def device(self) -> dict[str, str]:
        return {"device": "CPU"}  # the graph runs on any: nothing of this machine is in the file

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        session = _session(graph, options.threads)
        kinds = Counter(each.type.removeprefix("tensor(").rstrip(")") for each in session.get_inputs())
        return BuiltEngine(
            plan=graph.read_bytes(),
            executed={"graph input " + kind: count for kind, count in kinds.items()},
            device=self.device(),
            note="ONNX Runtime computes float16 layers on a CPU by casting" if options.precision == "fp16" else "",
            options={"threads": options.threads, "precision": options.precision},
        )

    def load(self, engine: Path, options: Mapping[str, Any]) -> OnnxRuntimeRunner:
        try:
            return OnnxRuntimeRunner(_session(engine, int(options["threads"])))
        except AandEdgeError as error:
            raise ArtefactMismatchError(error.message, "Build it again with `aand-edge build`.") from None


class OnnxRuntimeRunner:
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

    def __enter__(self) -> OnnxRuntimeRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _session(graph: Path, threads: int) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own error classes have no common base but Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AandEdgeError(f"ONNX Runtime refused {graph}: {reason}", "Export the graph again.") from None
