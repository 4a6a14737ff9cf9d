"""Named regions of the fused graph: what precision is chosen by, and what a reader of the graph sees.

frame         cast, crop, resize and normalisation
stem          the teacher before its first stage
teacher1–3    the teacher's stages
gate1–3       RAA's queries φ₁
match         the queries against the prototypes
generator1–3  RAA's generators φ₂
amplify       F · (1 + w · tanh φ₂)
bottleneck    BN
student1–3    the student's stages, by the level that they answer
upsample      the student's up-sampling convolutions, sub-pixel or transposed
head          cosine distance, up-sampling, blur and score
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

import onnx

from aand_edge.errors import UsageError

# Regions whose convolutions may be quantised, in the order of the data.
QUANTISABLE = (
    "stem",
    *(f"{part}{level}" for part in ("teacher", "gate", "generator") for level in (1, 2, 3)),
    "bottleneck",
    *(f"student{level}" for level in (3, 2, 1)),
    "upsample",
)


def default_regions(backbone: str) -> tuple[str, ...]:
    """What is quantised where nothing else is asked for: all but the stem, whose three channels gain nothing.

    EfficientNet-Lite's first stage has a depthwise convolution of few, very unequal channels at its largest size: in
    int8 it moves the map ten times as far as all other regions together (benchmarks/calibration.py). Its up-sampling
    convolutions are depthwise transposed ones, which TensorRT runs wrongly or slowly when they are quantised
    (NVIDIA/TensorRT #2380, #1694, #1699).
    """
    costly = ("teacher1", "upsample") if backbone == "efficientnet_lite0" else ()
    return tuple(region for region in QUANTISABLE if region not in ("stem", *costly))


_KEY = "aand.region"
_SCOPES = "pkg.torch.onnx.name_scopes"
_PATHS = (
    (re.compile(r"trunk\.teacher\.layer(\d)"), "teacher{}"),
    (re.compile(r"trunk\.amplifiers\.\d\.gate\.match"), "match"),
    (re.compile(r"trunk\.amplifiers\.(\d)\.gate"), "gate{}"),
    (re.compile(r"trunk\.amplifiers\.(\d)\.generator"), "generator{}"),
    (re.compile(r"trunk\.amplifiers"), "amplify"),
    (re.compile(r"trunk\.bottleneck"), "bottleneck"),
    (re.compile(r"trunk\.student\..*\.subpixels"), "upsample"),
    (re.compile(r"trunk\.student\.up(\d)"), "student{}"),
    (re.compile(r"trunk"), "stem"),
    (re.compile(r"head"), "head"),
)


def name_regions(graph: onnx.ModelProto, traced: onnx.ModelProto) -> None:
    """Write its region onto every node of a simplified graph.

    The exporter leaves the module path on the nodes of the traced graph; simplification drops it and keeps the names.
    """
    paths = {node.name: _module_path(node) for node in traced.graph.node}
    outside = "frame"  # of the trunk and the head: before it, or behind it (the casts to float32, the score)
    for node in graph.graph.node:
        found = _region_of(paths.get(node.name, ""), node.op_type)
        if found is not None:
            outside = "head"
        write_region(node, found or outside)


def region_of(node: onnx.NodeProto) -> str:
    """The region that a node lies in; "" where none was written."""
    return next((entry.value for entry in node.metadata_props if entry.key == _KEY), "")


def write_region(node: onnx.NodeProto, region: str) -> None:
    """Write a region onto a node."""
    del node.metadata_props[:]
    node.metadata_props.append(onnx.StringStringEntryProto(key=_KEY, value=region))


def checked_regions(names: Collection[str]) -> tuple[str, ...]:
    """Names of regions that may be quantised, in the order of the data. Raises UsageError for any other name."""
    unknown = sorted(set(names) - set(QUANTISABLE))
    if unknown:
        raise UsageError(f"There is no region '{unknown[0]}' to quantise", f"Choose among {', '.join(QUANTISABLE)}.")
    return tuple(region for region in QUANTISABLE if region in names)


def _module_path(node: onnx.NodeProto) -> str:
    scopes: list[str] = next((ast.literal_eval(p.value) for p in node.metadata_props if p.key == _SCOPES), [])
    return scopes[-2] if len(scopes) > 1 else ""


def _region_of(path: str, operator: str) -> str | None:
    for pattern, region in _PATHS:
        if found := pattern.match(path):
            if operator == "ConvTranspose":
                return "upsample"
            # Modules count the amplifiers from 0, the paper counts its levels from 1.
            level = [int(number) + path.startswith("trunk.amplifiers") for number in found.groups()]
            return region.format(*level)
    return None
