"""How long `aand-edge run` takes from its start on the command line to the first verdict on its stdout.

    python benchmarks/start.py WORKSPACE --engine NAME

Interpreter, imports, engine, a part rendered and judged, and the line printed: each time a new process, the files in
the system's cache. Beside the time on the wall stands the processors' time, which other work on the machine changes
little. Writes results/start.json and .md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device, device_line

RESULTS = Path(__file__).resolve().parent / "results"
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    first_verdict(options.workspace, options.engine)  # the files come into the cache
    load = os.getloadavg()[0]
    times = np.array([first_verdict(options.workspace, options.engine) for _ in range(options.repeats)])
    wall, processors = np.median(times, axis=0)
    result = {
        "engine": options.engine,
        "repeats": options.repeats,
        "start_to_first_verdict_s": {"median": wall, "least": times[:, 0].min(), "most": times[:, 0].max()},
        "processor_s": {"median": processors, "least": times[:, 1].min(), "most": times[:, 1].max()},
        "load": round(load, 1),
        "device": describe_device(),
    }
    write_json(RESULTS / "start.json", result)
    lines = [
        "# From start to the first verdict",
        "",
        f"`aand-edge run` with {options.engine}, {options.repeats} times. {device_line(result['device'])} "
        f"Other work on the machine: load {load:.1f}.",
        "",
        "| | median | least | most |",
        "|---|---|---|---|",
        f"| first verdict, s | {wall:.2f} | {times[:, 0].min():.2f} | {times[:, 0].max():.2f} |",
        f"| processor time of the run, s | {processors:.2f} | {times[:, 1].min():.2f} | {times[:, 1].max():.2f} |",
    ]
    write_text(RESULTS / "start.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
