"""What is spoilt, and the commands that meet it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.hostile.spoil import (
    SPOILS,
    Rng,
    Spoil,
    bomb,
    nothing,
    rearranged,
    reshaped,
    retyped,
    retyped_toml,
)

MODEL, ENGINE = "part", "part.openvino.fp32"


@dataclass(frozen=True)
class Case:
    """One file spoilt in one way, and the command that meets it."""

    family: str
    file: str
    arguments: tuple[str, ...]
    content: bytes
    may_pass: bool


@dataclass(frozen=True)
class Family:
    """Files of the workspace that are spoilt in these ways, each met by these commands.

    strict   no command may take a file that was changed
    """

    name: str
    files: str
    spoils: tuple[Spoil, ...]
    commands: tuple[tuple[str, ...], ...]
    strict: bool = False


JUDGE = ("run", "pictures/part.png", "--engine", ENGINE)
JUDGE_IT = ("run", "{file}", "--engine", ENGINE)
TRAIN = ("train", "--fresh", "--name", "other")
INSPECT, EVAL, EXPORT, BUILD = ("inspect", MODEL), ("eval", MODEL), ("export", MODEL), ("build", MODEL)
BUILD_IT, IN_ONNX_RUNTIME = ("build", "{file}"), ("--backend", "onnxruntime")
IN_INT8 = ("--precision", "int8")

HOSTILE: tuple[Spoil, ...] = (*SPOILS, bomb, nothing)
# A graph that is named is built beside the held-out set that lies there; a model's would be exported anew with its own.
GRAPH = f"models/{MODEL}/{MODEL}"
BUILD_GRAPH, BUILD_HALF = ("build", f"{GRAPH}.fp32.onnx"), ("build", f"{GRAPH}.fp16.onnx", "--precision", "fp16")
CALIBRATE = ("calibrate", "--locked")

TENSORS_OF_NUMPY: tuple[Spoil, ...] = (*SPOILS, *3 * (rearranged,))
TENSORS: tuple[Spoil, ...] = (*SPOILS, *3 * (reshaped,))
MISTYPED: tuple[Spoil, ...] = (*SPOILS, *3 * (retyped,))

FAMILIES = (
    Family("picture", "pictures/*", HOSTILE, (JUDGE_IT,)),
    Family("mask", "data/sample/ground_truth/*/*.png", HOSTILE, (("doctor",),)),
    Family("training picture", "data/sample/train/good/*.png", HOSTILE, (TRAIN,)),
    Family("workspace file", "aand-edge.toml", (*SPOILS, *5 * (retyped_toml,)), (INSPECT, ("doctor",))),
    Family("manifest", f"engines/{ENGINE}.json", MISTYPED, (("inspect", ENGINE), JUDGE)),
    Family("engine", f"engines/{ENGINE}.blob", SPOILS, (JUDGE, ("inspect", ENGINE)), strict=True),
    Family("graph", "models/*/*.onnx", SPOILS, (("inspect", "{file}"), BUILD_IT, (*BUILD_IT, *IN_ONNX_RUNTIME))),
    Family("model", f"models/{MODEL}/model.safetensors", TENSORS, (EVAL, EXPORT), strict=True),
    Family("card", f"models/{MODEL}/card.json", MISTYPED, (INSPECT, EXPORT, EVAL)),
    Family("held-out set", f"models/{MODEL}/*.holdout.npz", TENSORS_OF_NUMPY, (BUILD_GRAPH, BUILD_HALF, CALIBRATE)),
    Family("calibration table", "calib/*.json", MISTYPED, ((*BUILD, *IN_INT8), CALIBRATE)),
    Family("weights", "weights.safetensors", TENSORS, ((*TRAIN, "--weights", "weights.safetensors"),)),
    Family("snapshot", "models/halted/snapshot.safetensors", TENSORS, (("train", "--name", "halted"),)),
    Family("record", "verdicts/verdicts.jsonl", SPOILS, ((*JUDGE, "--out", "verdicts", "--append"),)),
)


def draw(family: Family, folder: Path, rng: Rng) -> Case:
    """One case of a family."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob(family.files))
    file = files[int(rng.integers(0, len(files)))]
    before = (folder / file).read_bytes()
    content = family.spoils[int(rng.integers(0, len(family.spoils)))](rng, before)
    command = family.commands[int(rng.integers(0, len(family.commands)))]
    arguments = tuple(part.format(file=file) for part in command)
    return Case(family.name, file, arguments, content, not family.strict or content == before)
