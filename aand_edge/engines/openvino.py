"""OpenVINO on the CPU: the engine where there is no GPU.

Precision lies in the graph. A float32 graph is held to float32; a trunk in half precision may run in half, and on a CPU
that has no such instructions it runs in float32. What runs is read back from the compiled network, never assumed.
"""

from __future__ import annotations

import io
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
from aand_edge.engines.openvino_layers import (
    executed_precisions,
    int8_convolutions,
    narrowed,
    precision_note,
    quantised_convolutions,
    read_marked,
)
from aand_edge.engines.packages import missing
from aand_edge.errors import AandEdgeError, ArtefactMismatchError


class OpenVino(Backend):
    """The backend; see `base.Backend`."""

    name = "openvino"
    suffix = ".blob"

    def available(self) -> str | None:
        return missing("openvino", "cpu")

    def version(self) -> str:
        import openvino

        return str(openvino.get_version())

    def device(self) -> dict[str, str]:
        import openvino

        core = openvino.Core()
        return {
            "device": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
            "formats": " ".join(sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))),
        }

    def int8_weight_bits(self) -> int:
        return int8_weight_bits()

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        refuse_options(self.name, options, "threads")
        import openvino

        core = openvino.Core()
        settings = settings_for(options.precision, options.threads)
        try:
            full = options.precision == "fp32"
            model, held = (core.read_model(graph), frozenset[str]()) if full else read_marked(core, graph)
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise AandEdgeError(f"OpenVINO refused {graph}: {reason(error)}", "Export the graph again.") from None
        stream = io.BytesIO()
        compiled.export_model(stream)
        executed = executed_precisions(compiled)
        notes = [precision_note(options.precision, executed)]
        if outside := narrowed(compiled, held):
            notes.append(f"{outside} layers that the graph holds in float32 run in half precision too")
        if options.precision == "int8":
            notes.append(_int8_note(graph, int8_convolutions(compiled), quantised_convolutions(model)))
        return BuiltEngine(
            plan=stream.getvalue(),
            executed=executed,
            device=self.device(),
            note="; ".join(filter(None, notes)),
            options={"threads": options.threads, "precision": options.precision},
        )

    def load(self, engine: Path, options: Mapping[str, Any]) -> OpenVinoRunner:
        import openvino

        settings = settings_for(str(options["precision"]), threads_of(options))
        try:
            compiled = openvino.Core().import_model(engine.read_bytes(), "CPU", settings)
        except RuntimeError as error:
            raise ArtefactMismatchError(
                f"OpenVINO cannot load {engine}: {reason(error)}", "Build it again with `aand-edge build`."
            ) from None
        return OpenVinoRunner(compiled)


class OpenVinoRunner(Runner):
    """A loaded engine: one request, one input buffer."""

    def __init__(self, compiled: Any) -> None:
        import openvino

        self._request = compiled.create_infer_request()
        self._shape = tuple(compiled.inputs[0].shape)
        self._buffer = np.zeros(self._shape, dtype=np.uint8)
        self._request.set_input_tensor(openvino.Tensor(self._buffer, shared_memory=True))

    def infer(self, frames: Frames) -> Outputs:
        """See `base.Runner`. Raises UsageError for frames of another shape or type."""
        if self._request is None:
            raise AandEdgeError("The engine is closed", "Load it again.")
        check_frames(frames, self._shape)
        np.copyto(self._buffer, frames)
        self._request.infer()
        return Outputs(
            self._request.get_tensor("anomaly_map").data.copy(),
            self._request.get_tensor("score").data.copy(),
        )

    def close(self) -> None:
        self._request = None


def settings_for(precision: str, threads: int) -> dict[str, Any]:
    """What a graph of this precision is compiled and loaded with; 0 threads: as many as there are."""
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision == "fp32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"  # or OpenVINO takes bfloat16 wherever the CPU has it
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    return settings


def _int8_note(graph: Path, executed: int, asked: int) -> str:
    """A sentence where some quantised convolutions run in another type. Raises ArtefactMismatchError where all do."""
    if not executed:
        raise ArtefactMismatchError(
            f"int8 was asked for, and OpenVINO would run no convolution of {graph.name} in it",
            "Build it with --precision fp32.",
        )
    return "" if executed >= asked else f"{executed} of {asked} quantised convolutions run in int8"


def reason(error: Exception) -> str:
    """What OpenVINO says went wrong, without the places in its source; a mismatch has a line for each side."""
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith(("Exception from ", "Check '"))]
    return "; ".join(line.rstrip(".") for line in reasons) or type(error).__name__
