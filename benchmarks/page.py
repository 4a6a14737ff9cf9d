"""What the live page costs the loop: without it, served and not watched, and with one and four browsers that take all.

    python -m benchmarks.page WORKSPACE --engine NAME

The four take turns, so that what else the machine does falls on each of them. Writes results/page.json and .md.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aand_edge.bench.device import describe_device, device_line
from aand_edge.config import CameraSettings, PageSettings, Workspace
from aand_edge.runtime.events import Timing
from aand_edge.runtime.station import run_station
from benchmarks.loop import Timings
from benchmarks.report import add_out, as_program, parser_of, write_report

WATCHERS = {"no page": None, "nobody watches": 0, "one browser": 1, "four browsers": 4}
WATCH = """
import sys, time, websocket
while True:
    try:
        line = websocket.create_connection(f"ws://127.0.0.1:{sys.argv[1]}/live", timeout=5)
        while line.recv():
            line.send("ack")
    except (OSError, websocket.WebSocketException):
        time.sleep(0.05)
"""


def main() -> None:
    """Run the loop in each way, in turns, and write what each cost."""
    parser = parser_of("benchmarks.page", __doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--source", default="test://?rate=15&parts=8&size=720")
    add_out(parser, "page")
    options = parser.parse_args()
    result = measure(Workspace.open(options.workspace), options.engine, options.source, options.frames, options.rounds)
    write_report(options.out, result, markdown(result))


def measure(workspace: Workspace, engine: str, source: str, frames: int, rounds: int) -> dict[str, Any]:
    """Figures of each way, all rounds together, as plain values."""
    manifest = workspace.engines / f"{engine}.json"
    seen: dict[str, list[Timing]] = {name: [] for name in WATCHERS}
    busy: dict[str, list[float]] = {name: [] for name in WATCHERS}
    loads = [os.getloadavg()[0]]
    for _ in range(rounds):
        for name, watchers in WATCHERS.items():
            timings, cores = one_run(workspace, manifest, f"{source}&count={frames}", watchers)
            seen[name] += timings
            busy[name].append(cores)
        loads.append(os.getloadavg()[0])
    return {
        "engine": engine,
        "source": source,
        "rounds": rounds,
        "load": loads,
        "ways": {name: {**figures(seen[name]), "cores": float(np.median(busy[name]))} for name in WATCHERS},
        "device": describe_device(),
    }


def one_run(workspace: Workspace, engine: Path, source: str, watchers: int | None) -> tuple[list[Timing], float]:
    """Timings of all frames, and how many cores this process kept busy."""
    page = None if watchers is None else PageSettings(port=free_port())
    run = workspace.settings.run.model_copy(update={"page": page})
    with_page = replace(workspace, settings=workspace.settings.model_copy(update={"run": run}))
    browsers = [subprocess.Popen([sys.executable, "-c", WATCH, str(page.port)]) for _ in range(watchers or 0) if page]
    timings, start, worked = Timings(), time.monotonic(), time.process_time()
    try:
        run_station(with_page, engine, [CameraSettings(source=source)], None, timings, {})
    finally:
        for browser in browsers:
            browser.kill()
            browser.wait()
    return timings.seen, (time.process_time() - worked) / (time.monotonic() - start)


def free_port() -> int:
    """A port that nobody listens on, of this machine alone."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def figures(timings: list[Timing]) -> dict[str, Any]:
    """Milliseconds of inference, and of the loop beside it."""
    beside = np.array([each.total - each.inferred for each in timings])
    inferred = np.array([each.inferred for each in timings])
    return {
        "frames": len(timings),
        "inference_ms": {f"p{p}": float(np.percentile(inferred, p, method="inverted_cdf")) for p in (50, 95)},
        "beside_ms": {f"p{p}": float(np.percentile(beside, p, method="inverted_cdf")) for p in (50, 95)},
    }


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    loads = ", ".join(f"{load:.1f}" for load in result["load"])
    lines = [
        "# What the live page costs the loop",
        "",
        f"{result['engine']}, {result['source']}, {result['rounds']} rounds in turns. {device_line(result['device'])}. "
        f"Load of the machine, one minute's mean, before and after each round: {loads}.",
        "",
        "| | frames | inference p50 / p95, ms | beside it p50 / p95, ms | cores kept busy, median |",
        "|---|---|---|---|---|",
    ]
    for name, way in result["ways"].items():
        inference, beside = way["inference_ms"], way["beside_ms"]
        lines.append(
            f"| {name} | {way['frames']} | {inference['p50']:.1f} / {inference['p95']:.1f} "
            f"| {beside['p50']:.2f} / {beside['p95']:.2f} | {way['cores']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    as_program(main)
