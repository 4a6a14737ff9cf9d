"""A small but whole workspace: pictures, a trained model, graphs, engines, a calibration table, a run's record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
from safetensors.torch import save_file

from aand_edge.data.sample import write_sample_set
from aand_edge.model.choices import find_backbone
from aand_edge.model.weights import published_state_dict
from benchmarks.hostile.families import ENGINE, MODEL

FORMATS = (".png", ".jpg", ".bmp", ".tif", ".webp")
SETTINGS = """\
[data]
root = "data/sample"

[model]
backbone = "efficientnet_lite0"
size = 64

[train]
preset = "short"
epochs_amplify = 1
epochs_distill = 1
holdout = 0.3

[build]
threads = 1
"""


def prepare(folder: Path) -> None:
    """Fill `folder`; about a minute on two cores."""
    folder.mkdir(parents=True)
    write_sample_set(folder / "data/sample", train=14, test_good=2, per_defect=1, size=96)
    (folder / "aand-edge.toml").write_text(SETTINGS, encoding="utf-8")
    for arguments in (
        ("train", "--name", MODEL),
        ("export", MODEL, "--precision", "fp16"),
        ("build", MODEL),
        ("build", MODEL, "--precision", "int8"),
        ("run", "data/sample/test/good", "--engine", ENGINE, "--out", "verdicts"),
    ):
        aand_edge(folder, *arguments)
    aand_edge(folder, "train", "--name", "halted", after_epoch=True)
    part = cv2.imread(str(folder / "data/sample/test/good/000.png"))
    assert part is not None
    (folder / "pictures").mkdir()
    for suffix in FORMATS:
        cv2.imwrite(str(folder / f"pictures/part{suffix}"), part)
    weights = published_state_dict(find_backbone("efficientnet_lite0"))
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "weights.safetensors")
    (folder / "aand-edge.toml").write_text(_template(folder), encoding="utf-8")


def aand_edge(folder: Path, *arguments: str, after_epoch: bool = False) -> None:
    """Run a command that must work; with `after_epoch`, end it when the first snapshot lies there."""
    program = [sys.executable, "-c", "from aand_edge.cli import main; main()", *arguments]
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.DEVNULL) as command:
        if after_epoch:
            snapshot = folder / "models/halted/snapshot.safetensors"
            while command.poll() is None and not snapshot.exists():
                pass
            command.kill()
        elif command.wait():
            raise SystemExit(f"aand-edge {' '.join(arguments)} ended with {command.returncode}")


def _template(folder: Path) -> str:
    """The same settings, followed by every other key as `init` writes it, behind #."""
    from aand_edge.config.template import TEMPLATE

    return SETTINGS + "".join(f"{line}\n" for line in TEMPLATE.splitlines() if line.startswith("# "))
