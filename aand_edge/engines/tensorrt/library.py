"""Finding TensorRT: the module, its version, its messages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aand_edge.engines.packages import first_line, found
from aand_edge.errors import MissingDependencyError

OLDEST = (10, 3)
# Modules by backend, in the order in which they are looked for.
MODULES = {
    "tensorrt": ("tensorrt",),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}
ADVICE = {
    "tensorrt": "on a Jetson it comes with JetPack (apt install python3-libnvinfer, and a virtual environment with "
    "--system-site-packages), elsewhere from NVIDIA's package index",
    "tensorrt-rtx": "pip install 'aand-edge[rtx]', Python 3.11 or newer",
}


@dataclass(frozen=True)
class Library:
    """The imported module `trt`, under the backend's name."""

    name: str
    trt: Any

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def is_rtx(self) -> bool:
        return self.name == "tensorrt-rtx"

    @property
    def weak_typing(self) -> bool:
        """Whether builder flags for precision are still there: in 10.x."""
        return not self.is_rtx and self.major == 10


def missing(name: str) -> str | None:
    """Why that TensorRT cannot be used here, or None."""
    try:
        open_library(name)
    except MissingDependencyError as error:
        return str(error)
    return None


def open_library(name: str) -> Library:
    """Import it. Raises MissingDependencyError where it is absent, broken or too old."""
    module = next((each for each in MODULES[name] if found(each)), None)
    if module is None:
        raise MissingDependencyError(f"{_title(name)} is not installed", f"Install it: {ADVICE[name]}.")
    try:
        trt = import_module(module)
        library = Library(name, trt)
        version = tuple(int(part) for part in library.version.split(".")[:2])
    except Exception as error:  # a stub without its libraries, or libraries of another version, fail in many ways
        raise MissingDependencyError(
            f"{_title(name)} is installed and does not load ({first_line(error)})", f"Install it: {ADVICE[name]}."
        ) from None
    if not library.is_rtx and version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise MissingDependencyError(
            f"TensorRT {library.version} is older than {oldest}", "Update JetPack to 6.2 or newer."
        )
    return library


def _title(name: str) -> str:
    return "TensorRT-RTX" if name == "tensorrt-rtx" else "TensorRT"


def collecting_logger(library: Library) -> Any:
    """A logger that keeps what TensorRT says in `lines`, and its errors in `errors`."""
    trt = library.trt

    class Collecting(trt.ILogger):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            self.lines.append(f"{severity}: {message}")
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Collecting()
