"""Backends by name. A new one is a file of this package and a line in `FACTORIES`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from aand_edge.engines.base import Backend
from aand_edge.errors import MissingDependencyError, UsageError


def _of(module: str, name: str) -> Callable[[], Backend]:
    """A backend whose module is imported when it is asked for."""
    return lambda: getattr(import_module(f"aand_edge.engines.{module}"), name)()


# In the order in which `auto` tries them; it takes no server, whose address it cannot know.
FACTORIES: dict[str, Callable[[], Backend]] = {
    "tensorrt": _of("tensorrt.backend", "TensorRt"),
    "tensorrt-rtx": _of("tensorrt.backend", "TensorRtRtx"),
    "openvino": _of("openvino", "OpenVino"),
    "onnxruntime": _of("onnxruntime", "OnnxRuntime"),
    "triton": _of("triton.backend", "Triton"),
}


def suffixes() -> list[str]:
    """Of all backends' engine files, with the dot."""
    return sorted({factory().suffix for factory in FACTORIES.values()})


def find_backend(name: str = "auto") -> Backend:
    """The backend of that name; `auto` takes the first that works here.

    Raises UsageError for a name that there is not, MissingDependencyError for a backend that cannot work here.
    """
    if name == "auto":
        return _first_that_works()
    if name not in FACTORIES:
        raise UsageError(f"There is no backend '{name}'", f"Choose one of: auto, {', '.join(FACTORIES)}.")
    backend = FACTORIES[name]()
    reason = backend.available()
    if reason is not None:
        raise MissingDependencyError(
            f"The backend {name} does not work here: {reason}", "`aand-edge doctor` lists what does."
        )
    return backend


def _first_that_works() -> Backend:
    """The others' packages, which take a while to load, are not looked at."""
    reasons = []
    for name, factory in FACTORIES.items():
        if name == "triton":
            continue
        backend = factory()
        reason = backend.runnable()
        if reason is None:
            return backend
        reasons.append(f"{name}: {reason}")
    raise MissingDependencyError(f"No engine backend works here ({'; '.join(reasons)})", "Install one of them.")
