"""`config.pbtxt`: what Triton must know of a model, and the manifest that its clients judge by.

Written as text, since the device that packs a plan has no protobuf; a test reads it with Triton's own `ModelConfig`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from aand_edge import __version__
from aand_edge.artifacts import EngineManifest
from aand_edge.errors import UsageError

Platform = Literal["onnxruntime_onnx", "tensorrt_plan"]
FILES: dict[Platform, str] = {"onnxruntime_onnx": "model.onnx", "tensorrt_plan": "model.plan"}
MANIFEST = "aand.manifest"  # the parameter that holds it, as JSON


@dataclass(frozen=True)
class Serving:
    """How the server runs a model.

    max_batch  requests that it may put into one batch; 0 where the model's batch is static
    instances  copies of the model that run at once
    """

    max_batch: int = 8
    instances: int = 1

    def __post_init__(self) -> None:
        if self.max_batch < 0:
            raise UsageError(f"A batch of {self.max_batch} is too small", "Take --max-batch 1 or more.")
        if self.instances < 1:
            raise UsageError(f"{self.instances} instances answer nothing", "Take --instances 1 or more.")


def config_text(name: str, manifest: EngineManifest, platform: Platform, version: int, serving: Serving) -> str:
    """The whole file.

    Triton wants dims of at least one number, so a batch of scores, which has none behind its batch dimension, is
    declared as one number each and reshaped. A model is warmed up before it is called ready: the first answer of a GPU
    takes longer than a client waits.
    """
    (height, width), side = manifest.frame, manifest.size
    batched = serving.max_batch > 0
    lead = "" if batched else f"{manifest.batch}, "
    score = "dims: [ 1 ] reshape: { shape: [ ] }" if batched else f"dims: [ {manifest.batch} ]"
    frame = f"{lead}{height}, {width}, 3"
    lines = [
        f"# Written by aand-edge {__version__}. Its clients judge by the manifest below: change neither by hand.",
        f"name: {_quoted(name)}",
        f'platform: "{platform}"',
        f"max_batch_size: {serving.max_batch}",
        f'input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ {frame} ] }} ]',
        "output [",
        f'  {{ name: "anomaly_map" data_type: TYPE_FP32 dims: [ {lead}{side}, {side} ] }},',
        f'  {{ name: "score" data_type: TYPE_FP32 {score} }}',
        "]",
        f"version_policy: {{ specific: {{ versions: [ {version} ] }} }}",
        *(["dynamic_batching { }"] if serving.max_batch > 1 else []),
        f"instance_group [ {{ count: {serving.instances} kind: {_kind(platform)} }} ]",
        "model_warmup [ {",
        f'  name: "black frame" batch_size: {int(batched)}',
        f'  inputs {{ key: "image" value: {{ data_type: TYPE_UINT8 dims: [ {frame} ] zero_data: true }} }}',
        "} ]",
        f'parameters {{ key: "{MANIFEST}" value: {{ string_value: {_quoted(_compact(manifest))} }} }}',
    ]
    return "\n".join(lines) + "\n"


def _kind(platform: Platform) -> str:
    return "KIND_GPU" if platform == "tensorrt_plan" else "KIND_AUTO"


def _compact(manifest: EngineManifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), separators=(",", ":"))


def _quoted(text: str) -> str:
    """A string of protobuf's text format; `text` is ASCII or has been escaped to it by JSON."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
