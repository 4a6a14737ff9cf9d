"""How long `aand-edge run` takes from its start on the command line to the first verdict on its stdout.

    python -m benchmarks.start WORKSPACE --engine NAME

Interpreter, imports, engine, a part rendered and judged, and the line printed: each time a new process, the files in
the system's cache. Beside the time on the wall stands the processors' time, which other work on the machine changes
little. Writes results/start.json and .md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from aand_edge.bench.device import describe_device, device_line
from benchmarks.report import add_out, as_program, parser_of, write_report

SOURCE = "test://?rate=0&parts=2&count=1"


def first_verdict(workspace: Path, engine: str) -> tuple[float, float]:
    """Seconds until the verdict's line, and processor seconds of the whole run."""
    program = [sys.executable, "-c", "from aand_edge.cli import main; main()", "run", SOURCE, "--engine", engine]
    start, before = time.monotonic(), os.times()
    with subprocess.Popen(program, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        line = run.stdout.readline()
        seconds = time.monotonic() - start
        run.stdout.read()
    if not line.startswith(("REJECT", "pass")):
        raise SystemExit(f"`aand-edge run` gave no verdict but {line!r}")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, spent


def main() -> None:
    """Start it again and again, and write how long that took."""
    parser = parser_of("benchmarks.start", __doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--repeats", type=int, default=11)
    add_out(parser, "start")
    options = parser.parse_args()
    result = measure(options.workspace, options.engine, options.repeats)
    write_report(options.out, result, markdown(result))


def measure(workspace: Path, engine: str, repeats: int) -> dict[str, Any]:
    """Seconds on the wall and of the processors, as plain values."""
    first_verdict(workspace, engine)  # the files come into the cache
    load = os.getloadavg()[0]
    times = np.array([first_verdict(workspace, engine) for _ in range(repeats)])
    seconds = [
        {"median": float(np.median(column)), "least": float(column.min()), "most": float(column.max())}
        for column in times.T
    ]
    return {
        "engine": engine,
        "repeats": repeats,
        "start_to_first_verdict_s": seconds[0],
        "processor_s": seconds[1],
        "load": round(load, 1),
        "device": describe_device(),
    }


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    rows = {"first verdict, s": "start_to_first_verdict_s", "processor time of the run, s": "processor_s"}
    lines = [
        "# From start to the first verdict",
        "",
        f"`aand-edge run` with {result['engine']}, {result['repeats']} times. {device_line(result['device'])} "
        f"Other work on the machine: load {result['load']:.1f}.",
        "",
        "| | median | least | most |",
        "|---|---|---|---|",
        *(f"| {name} | " + " | ".join(f"{s:.2f}" for s in result[key].values()) + " |" for name, key in rows.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    as_program(main)
