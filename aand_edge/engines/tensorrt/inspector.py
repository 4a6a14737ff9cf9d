"""What an engine's layers really run in, read from TensorRT's inspector."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from aand_edge.errors import ArtefactMismatchError

# The format of a tensor is told in words: "Row major linear FP16 format", "Thirty-two wide channel … Int8 format".
_KINDS = (
    ("i8", re.compile(r"\bint8\b", re.IGNORECASE)),
    ("f16", re.compile(r"\b(fp16|half|float16)\b", re.IGNORECASE)),
    ("bf16", re.compile(r"\bb(f|float)16\b", re.IGNORECASE)),
    ("f32", re.compile(r"\b(fp32|float|float32)\b", re.IGNORECASE)),
)
NEEDED = {"fp16": frozenset({"f16"}), "int8": frozenset({"i8"})}


def executed_precisions(trt: Any, engine: Any) -> dict[str, int]:
    """Element type → layers with a tensor of it, the narrowest counted; empty where the library does not tell."""
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return count_precisions(text)


def count_precisions(text: str) -> dict[str, int]:
    """As `executed_precisions`, from the inspector's JSON (its keys differ between TensorRT 10 and 11)."""
    try:
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return {}
    counts = Counter(kind for layer in layers if isinstance(layer, dict) and (kind := _kind(layer)))
    return dict(counts.most_common())


def check_precision(precision: str, executed: dict[str, int], name: str) -> None:
    """Raises ArtefactMismatchError where an engine runs no layer in what was asked for."""
    needed = NEEDED.get(precision)
    if needed and executed and not needed & set(executed):
        found = ", ".join(f"{count} in {kind}" for kind, count in executed.items())
        raise ArtefactMismatchError(
            f"{precision} was asked for and {name} built none of it: layers run {found}",
            "It was not kept. Build with another --precision, or on a GPU that has it.",
        )


def _kind(layer: dict[str, Any]) -> str:
    tensors = [*layer.get("Inputs", []), *layer.get("Outputs", [])]
    formats = " ".join(str(each.get("Format/Datatype", each.get("Datatype", ""))) for each in tensors)
    return next((kind for kind, sign in _KINDS if sign.search(formats)), "")
