"""What this machine has that engines and cameras need, for `aand-edge doctor`: facts in words, never an error."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aand_edge.engines import cuda
from aand_edge.engines.registry import FACTORIES
from aand_edge.engines.tensorrt.backend import l4t_release
from aand_edge.errors import AandEdgeError

DRIVER = Path("proc/driver/nvidia/version")
RELEASE = Path("etc/nv_tegra_release")
DEVICES = Path("dev")


@dataclass(frozen=True)
class BackendState:
    """A backend's version, and why it cannot build or run here; None where it can."""

    name: str
    version: str
    builds: str | None
    runs: str | None

    def words(self) -> str:
        """In one line."""
        if self.builds is not None:
            return f"no: {self.builds}"
        if self.runs is not None:
            return f"{self.version} builds engines, runs none: {self.runs}"
        if self.name == "triton":
            return f"asks servers by {self.version}"
        return f"{self.version} builds and runs engines"


def backend_states() -> list[BackendState]:
    """Every backend, in the order in which `auto` tries them."""
    states = []
    for name, factory in FACTORIES.items():
        backend = factory()
        builds = backend.available()
        version = backend.version() if builds is None else ""
        states.append(BackendState(name, version, builds, backend.runnable()))
    return states


def machine_facts(root: Path = Path("/")) -> dict[str, str]:
    """Driver, GPU, Jetson's Linux and power mode, OpenCV's video backends, cameras; "none" where there is none."""
    facts = {
        "driver": driver_version(root / DRIVER),
        "gpu": _gpu(),
        "l4t": l4t_release(root / RELEASE),
        "power mode": _power_mode(),
        "opencv": opencv_video(),
        "cameras": ", ".join(f"/{each.relative_to(root)}" for each in sorted((root / DEVICES).glob("video*"))),
    }
    return {name: value or "none" for name, value in facts.items()}


def driver_version(path: Path) -> str:
    """Of NVIDIA's kernel driver, such as "570.86.15"."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", path.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""


def _gpu() -> str:
    if cuda.missing() is not None:
        return ""
    try:
        device = cuda.open_cuda()
        gpu = device.gpu()
        device.close()
    except AandEdgeError as error:
        return error.message
    return f"{gpu.name}, compute capability {gpu.compute_capability}, {gpu.free >> 20} of {gpu.total >> 20} MiB free"


def _power_mode() -> str:
    """Jetson's, as nvpmodel tells it; an engine's speed depends on it."""
    try:
        done = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return power_mode(done.stdout)


def power_mode(printed: str) -> str:
    """The mode's name in what `nvpmodel -q` prints."""
    found = re.search(r"NV Power Mode:\s*(\S+)", printed)
    return found[1] if found else ""


def opencv_video() -> str:
    """OpenCV's version and which of the ways to a camera it was built with."""
    try:
        import cv2
    except ImportError:
        return ""
    information = cv2.getBuildInformation()
    having = [name for name in ("FFMPEG", "GStreamer", "v4l/v4l2") if re.search(rf"{name}:\s+YES", information)]
    return f"{cv2.__version__} with {', '.join(having) or 'no video backend'}"
