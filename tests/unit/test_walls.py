"""The edge runtime starts without the training stack; the rest of the walls is import-linter's."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = "torch torchvision onnx onnxsim onnxscript safetensors sklearn scipy matplotlib tritonclient grpc"

CODE = f"""
import importlib.abc, sys
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED.split()!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Wall())
import aand_edge.config, aand_edge.engines.build, aand_edge.engines.load, aand_edge.engines.openvino
import aand_edge.engines.triton.backend, aand_edge.bench.roofline
import aand_edge.engines.onnxruntime, aand_edge.runtime.station, aand_edge.runtime.sources.child, aand_edge.cli
"""


def test_the_edge_runtime_imports_without_the_training_stack() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
