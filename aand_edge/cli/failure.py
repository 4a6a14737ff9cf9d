"""How an error reaches the user: one sentence with the next step, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

from aand_edge.errors import AandEdgeError

INTERRUPTED = 130  # as a shell reports SIGINT
DEBUG = "AAND_EDGE_DEBUG"


def explain(error: BaseException) -> int:
    """Print the sentence on stderr and return the exit code."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    sentence, code = _sentence(error)
    sys.stdout.flush()
    sys.stderr.write(f"{sentence}\n")
    return code


def _sentence(error: BaseException) -> tuple[str, int]:
    if isinstance(error, AandEdgeError):
        return f"error: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted: what was written is whole", INTERRUPTED
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"error: the package {error.name} is not installed. {_extra(error.name)}", 3
    if isinstance(error, MemoryError) or _out_of_memory(error):
        return "error: out of memory. Take a smaller --batch or --size, or free some.", 1
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"error: {error.strerror or error}{where}. Check the path, its permissions and the free space.", 1
    kind = type(error).__name__
    return f"error: unexpected {kind}: {error}. Set {DEBUG}=1 to see where, and please report it.", 1


def _out_of_memory(error: BaseException) -> bool:
    """PyTorch says so in a RuntimeError, on a CPU without a class of its own."""
    return isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "out of memory" in str(error))


EXTRAS = {
    "train": ("torch", "torchvision", "onnx", "onnxscript", "onnxsim", "safetensors"),
    "cpu": ("openvino", "onnxruntime"),
    "bench": ("sklearn", "scipy", "matplotlib"),
    "opencv": ("cv2",),
    "triton": ("tritonclient", "grpc"),
}


def _extra(module: str) -> str:
    root = module.split(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if root in modules), None)
    return f"Run `pip install 'aand-edge[{extra}]'`." if extra else f"Run `pip install {root}`."
