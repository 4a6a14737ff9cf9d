"""Write the names that a release of TensorRT's Python bindings really has, without its libraries and without a GPU.

    python collect.py tensorrt_cu12_bindings-10.3.0-cp311-….whl 10.3.json

The bindings are linked to libnvinfer and its like. Stand-ins of these are compiled that define every symbol that is
asked for and do nothing, so that the module imports and its classes and enums can be listed. Needs gcc, nm and readelf,
and the Python version that the wheel is for.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

CLASSES = (
    "Builder", "BuilderFlag", "EngineInspector", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory",
    "ILogger", "INetworkDefinition", "ITimingCache", "LayerInformationFormat", "Logger", "MemoryPoolType",
    "NetworkDefinitionCreationFlag", "OnnxParser", "ParserError", "ProfilingVerbosity", "Runtime",
)  # fmt: skip


def main(wheel: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        zipfile.ZipFile(wheel).extractall(folder)
        module = load(next(folder.glob("*/tensorrt*.so")), folder)
        names = {name: describe(getattr(module, name)) for name in CLASSES}
    lines = [f" {json.dumps(name)}: {json.dumps(found)}" for name, found in names.items()]
    head = f' "version": {json.dumps(wheel.name.split("-")[1])}'
    target.write_text("{\n" + ",\n".join([head, *lines]) + "\n}\n")


def load(binding: Path, folder: Path) -> ModuleType:
    """The binding, over stand-ins for the libraries that it is linked to."""
    needed = [line.split("[")[1].rstrip("]") for line in run("readelf", "-d", str(binding)) if "NEEDED" in line]
    # Symbols of the C and C++ runtimes carry a version, Python's are in the process already.
    wanted = [line.split()[-1] for line in run("nm", "-D", "--undefined-only", str(binding)) if "@" not in line]
    own = [symbol for symbol in wanted if not symbol.startswith(("Py", "_Py", "_ITM_", "__gmon"))]
    source = "\n".join(
        f'char stand_in_{number}[4096] __asm__("{symbol}") = {{0}};' for number, symbol in enumerate(dict.fromkeys(own))
    )
    (folder / "stand_in.c").write_text(source)
    for library in (each for each in needed if each.startswith("libnv")):
        stand_in, source_file = str(folder / library), str(folder / "stand_in.c")
        run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", stand_in, source_file)
        ctypes.CDLL(str(folder / library), mode=ctypes.RTLD_GLOBAL)
    spec = importlib.util.spec_from_file_location("tensorrt_bindings.tensorrt", binding)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def describe(kind: Any) -> list[str] | dict[str, int]:
    """The values of an enum by name, or the public names of a class."""
    members = getattr(kind, "__members__", None)
    if members:
        return {name: int(value) for name, value in members.items()}
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def run(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
