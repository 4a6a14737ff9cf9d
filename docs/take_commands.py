"""Takes docs/commands.md: every command with what it prints, on the rendered sample set.

    python docs/take_commands.py WORKSPACE

WORKSPACE is that of `make demo`: its model and its engines answer, and a copy of it is written to. `init`, `record` and
`train` are shown in a folder of their own, with a training of seconds. Takes a minute.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from aand_edge.bench.device import describe_device, device_line

TARGET = Path(__file__).with_name("commands.md")
PROGRAM = [sys.executable, "-c", "from aand_edge.cli import main; main()"]
WIDTH = 118  # of a line that is no table's
MODEL = "sample-efficientnet_lite0"
FP32 = f"{MODEL}.openvino.fp32"
HEAD = """\
# Every command, with what it prints

On the rendered sample set with `efficientnet_lite0` at 256²: `init`, `record` and `train` in a folder of their own,
with a training of seconds, the rest in the workspace that `make demo` leaves behind. `…` stands for what was left out.
Every command has `--help`, and `--json` for one JSON object in place of its tables.

Taken on {date} by `docs/take_commands.py` on {device}. **Times are those of this one
machine**; measured ones are in [benchmarks](../benchmarks/README.md).
"""


@dataclass(frozen=True)
class Step:
    """A command, how to read what it prints, and which rows of it are shown: those in which the expression is found."""

    command: str
    how: str
    rows: str = ""


FRESH = (
    Step(
        "init line1 --sample --backbone efficientnet_lite0 --preset short",
        "starts a workspace, a folder with a commented `aand-edge.toml`; its last lines are what to do next.",
    ),
    Step(
        "record test:// --count 3 --out recorded",
        "saves what a camera shows, to train on: with the camera, the trigger and the region that `run` will have.",
    ),
    Step(
        "train --size 128 --epochs-amplify 1 --epochs-distill 2",
        "says each epoch's losses, which should fall; `threshold` says what it promises of good parts.",
    ),
)
DEMO = (
    Step(
        "doctor",
        "says what this machine can build and run, or why not, and counts the pictures under `[data]`.",
        r"^(cpu|cores|threads|memory|tensorrt-rtx|openvino|onnxruntime|train|test|sizes)\b",
    ),
    Step(
        "eval",
        "measures the PyTorch model on pictures of defects: what engines are compared with; AUPRO is of the outlines.",
    ),
    Step(
        "export --precision fp16",
        "writes the fused graph, and refuses to where it differs from PyTorch by more than what is allowed.",
    ),
    Step(
        "calibrate",
        "reads int8's ranges from held-out pictures; `clipped most` is the tensor that loses most of its range.",
    ),
    Step(
        "build --precision int8",
        "builds the engine and accepts it on held-out pictures; `runs in` is read back from the engine itself.",
    ),
    Step(
        "threshold",
        "reads each engine's threshold anew from its held-out scores; their values differ as the engines' scores do.",
    ),
    Step(
        f"inspect {FP32}",
        "shows all that an engine's manifest says, or a graph or a model's card, after its bytes were checked.",
        r"^(engines/|precision|executed|backend|device|threshold\.[vrap])",
    ),
    Step(
        "bench --eager",
        "measures engines in turns; `worst drop` is the largest loss of a figure against fp32, `flips` other verdicts.",
        r"^(report|Speed|Accuracy|[┏┃┡│└]|Use)",
    ),
    Step(
        f"bench models/{MODEL}/{MODEL}.int8.onnx --roofline",
        "computes how long the graph takes on a chip at least; nothing runs ([how](roofline.md)).",
        r"^(sample|[┏┃┡└]|│ Jetson Orin N|Floors)",
    ),
    Step(
        f"run data/sample/test/dent --engine {FP32} --out verdicts",
        "prints verdict, score and frame of each part; the sum at the end accounts for every frame.",
        r"^(REJECT .*00[01]|\w+\.|judged|rejected|dropped|failed|late|sample|frames|capture)",
    ),
    Step(
        "export --precision fp16 --triton repository",
        "also fills the model repository of a Triton server ([more](triton.md)); `next` is what to start.",
        r"^(served|threshold|note|next|    )",
    ),
)


def main() -> None:
    demo = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        fresh, copy = Path(temporary) / "fresh", Path(temporary) / "copy"
        fresh.mkdir()
        shutil.copytree(demo, copy)
        taken = [
            taken_in(fresh, FRESH[0]),
            *(taken_in(fresh / "line1", each) for each in FRESH[1:]),
            *(taken_in(copy, each) for each in DEMO),
        ]
    head = HEAD.format(date=date.today().isoformat(), device=device_line(describe_device()))
    TARGET.write_text("\n".join([head, *taken]), encoding="utf-8")


def taken_in(folder: Path, step: Step) -> str:
    """The step's part of the page, run there."""
    done = subprocess.run(
        [*PROGRAM, *shlex.split(step.command)],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return part_of(step, done.stdout.replace(f"{folder.resolve()}/", ""))


def part_of(step: Step, printed: str) -> str:
    first, *others = step.command.split()
    name = " ".join([first, *(word for word in others if word in ("--roofline", "--triton"))])
    shown = shortened(printed.splitlines(), step.rows)
    return "\n".join([f"**`{name}`** {step.how}", "```console", f"$ aand-edge {step.command}", *shown, "```", ""])


def shortened(lines: list[str], rows: str) -> list[str]:
    """The rows that are shown, with `…` for those between them, for what goes beyond a line and for most of a hash."""
    shown: list[str] = []
    for line in lines:
        if rows and not re.search(rows, line):
            shown += [] if shown[-1:] == ["…"] else ["…"]
            continue
        line = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b", r"\1…", line)
        table = line[:1] in "┏┃┡│└"
        shown.append(line if table or len(line) <= WIDTH else f"{line[: WIDTH - 1].rstrip()}…")
    return shown


if __name__ == "__main__":
    main()
