"""Our side of peers.py: engines of a model, trained or not, and PyTorch itself, each served in its own process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import Precision
from aand_edge.engines.base import BuildOptions, Runner
from aand_edge.engines.registry import find_backend
from benchmarks.report import as_program, parser_of
from benchmarks.turns import Answer, Contender, serve

Commands = dict[str, list[str]]


def prepare(work: Path, model: Path | None, data: Path, backbone: str, threads: int) -> Commands:
    """Build what takes part; name → the command that serves it."""
    from benchmarks.untrained import write_model

    serving = [sys.executable, "-m", "benchmarks.peers_ours"]
    folder = model or write_model(work / "aand", backbone, True, data)
    engines = build_engines(folder, work / "aand-engines", threads)
    commands = {f"AAND {name}": [*serving, "engine", str(engine)] for name, engine in engines.items()}
    commands["AAND fp32, torch eager"] = [*serving, "eager", str(folder)]
    commands["AAND fp32, torch.compile"] = [*serving, "compiled", str(folder)]
    if model is None:
        plain = build_engines(write_model(work / "rd", backbone, False, data), work / "rd-engines", threads)
        for name in ("fp32", "int8"):
            commands[f"our reverse distillation {name}"] = [*serving, "engine", str(plain[name])]
    return commands


def build_engines(model: Path, folder: Path, threads: int) -> dict[str, Path]:
    """The engine of each precision, and ONNX Runtime's of fp32, by name."""
    from aand_edge.export.calibrate import CalibrationOptions, calibrate
    from aand_edge.export.export import ExportOptions, export_model
    from aand_edge.export.int8 import Quantisation, int8_path, write_int8
    from aand_edge.export.regions import default_regions

    copy = folder / "model"  # graphs are written beside the weights
    shutil.copytree(model, copy, dirs_exist_ok=True)
    fp32 = export_model(copy, ExportOptions("fp32", colour="RGB"))
    fp16 = export_model(copy, ExportOptions("fp16", colour="RGB"))
    table = calibrate(fp32.graph, fp32.holdout, folder / "table.json", CalibrationOptions())
    bits = find_backend("openvino").int8_weight_bits()
    quantisation = Quantisation(default_regions(fp32.facts.backbone), bits)
    int8 = int8_path(fp16.graph, quantisation)
    write_int8(fp16.graph, table, quantisation, int8)
    return {
        "fp32": _build(fp32.graph, folder, "openvino", "fp32", threads),
        "fp16": _build(fp16.graph, folder, "openvino", "fp16", threads),
        "int8": _build(int8, folder, "openvino", "int8", threads),
        "fp32, ONNX Runtime": _build(fp32.graph, folder, "onnxruntime", "fp32", threads),
    }


def _build(graph: Path, folder: Path, backend: str, precision: Precision, threads: int) -> Path:
    engines = find_backend(backend)
    built = engines.build(graph, BuildOptions(precision, threads=threads))
    print(f"{graph.name}, {backend}: {dict(built.executed)} {built.note}", flush=True)
    plan = folder / backend / f"{graph.stem}{engines.suffix}"
    plan.parent.mkdir(exist_ok=True)
    plan.write_bytes(built.plan)
    plan.with_suffix(".json").write_text(json.dumps({"backend": backend, "options": dict(built.options)}))
    return plan


class Engine:
    """One of our engines. Its graph takes the frame as it is, so that the network is all there is."""

    def __init__(self, plan: Path) -> None:
        facts = json.loads(plan.with_suffix(".json").read_text())
        self._runner: Runner = find_backend(facts["backend"]).load(plan, facts["options"])
        self._frames: NDArray[np.uint8] = np.empty(0, np.uint8)

    def predict(self, frame: NDArray[np.uint8]) -> Answer:
        """Score, and map (S, S)."""
        self._frames = frame[None]
        outputs = self._runner.infer(self._frames)
        return float(outputs.score[0]), outputs.anomaly_map[0]

    def network(self) -> None:
        """The network alone, on the last frame."""
        self._runner.infer(self._frames)


class Torch:
    """The PyTorch model as training left it, channels last; compiled or not."""

    def __init__(self, model: Path, compiled: bool) -> None:
        import torch

        from aand_edge.training.checkpoint import load_model

        network = load_model(model)[0].to(memory_format=torch.channels_last)
        self._torch, self._network = torch, torch.compile(network) if compiled else network
        self._picture: Any = None

    def predict(self, frame: NDArray[np.uint8]) -> Answer:
        """Score, and map (S, S)."""
        with self._torch.inference_mode():
            self._picture = self._torch.from_numpy(frame)[None].permute(0, 3, 1, 2).float()
            anomaly_map, score = self._network(self._picture)
        return float(score[0]), anomaly_map[0].numpy()

    def network(self) -> None:
        """The network alone, on the last frame."""
        with self._torch.inference_mode():
            self._network(self._picture)


def main() -> None:
    """Serve one of ours."""
    parser = parser_of("benchmarks.peers_ours", __doc__)
    parser.add_argument("kind", choices=("engine", "eager", "compiled"))
    parser.add_argument("path", type=Path, help="engine file, or folder of the model")
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    load: Callable[[], Contender] = partial(Torch, options.path, options.kind == "compiled")
    if options.kind == "engine":
        load = partial(Engine, options.path)
    serve(load, np.load(options.frames), options.threads)


if __name__ == "__main__":
    as_program(main)
