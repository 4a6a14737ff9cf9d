"""Whether an engine that takes several frames pays: cameras that share it, at full speed, in step, and one alone.

    aand-edge build --precision fp32 && aand-edge build --precision fp32 --batch 2
    python benchmarks/batch.py WORKSPACE --engines NAME NAME-b2

Calls are timed in turns, so that a slow spell of the machine hits every engine alike; then the loop runs with two
cameras of rendered parts, first as fast as they are judged, then `--rate` frames a second each, and with one camera
alone, whose frames a larger batch is filled up for. Writes results/batch.json and .md.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aand_edge.artifacts import EngineManifest, write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.bench.latency import measure_in_turn
from aand_edge.config import CameraSettings, Workspace
from aand_edge.engines.load import load_engine
from aand_edge.runtime.station import run_station
from benchmarks.loop import Timings

RESULTS = Path(__file__).resolve().parent / "results"
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engines", nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--frames", type=int, default=300, help="of each camera in the loop")
    parser.add_argument("--rate", type=float, default=10.0)
    options = parser.parse_args()
    workspace = Workspace.open(options.workspace)
    paths = [workspace.engines / f"{name}.json" for name in options.engines]
    rows = calls(paths, options.repeats)
    for path, row in zip(paths, rows, strict=True):
        row |= in_loop(workspace, path, options.frames, options.rate)
        print(row)
    load = os.getloadavg()[0]
    result = {"rows": rows, "rate": options.rate, "load": load, "device": describe_device()}
    write_json(RESULTS / "batch.json", result)
    write_text(RESULTS / "batch.md", markdown(result))
    print(markdown(result))


def calls(paths: list[Path], repeats: int) -> list[Row]:
    """Milliseconds of a call of each engine, in turns."""
    with ExitStack() as stack:
        infers, manifests = [], list[EngineManifest]()
        for path in paths:
            manifest, runner = load_engine(path)
            stack.enter_context(runner)
            height, width = manifest.frame
            frames = np.random.default_rng(0).integers(0, 256, (manifest.batch, height, width, 3), np.uint8)
            infers.append(partial(runner.infer, frames))
            manifests.append(manifest)
        latencies = measure_in_turn(infers, 20, repeats, [each.batch for each in manifests])
    return [
        {"engine": manifest.name, "batch": manifest.batch, "call_ms": latency.p50, "frame_ms": 1000 / latency.fps}
        for manifest, latency in zip(manifests, latencies, strict=True)
    ]


def in_loop(workspace: Workspace, engine: Path, frames: int, rate: float) -> Row:
    """Frames a second of two cameras at full speed; capture to verdict of two cameras in step, and of one alone."""
    full, _ = run(workspace, engine, frames, 0.0, cameras=2)
    _, in_step = run(workspace, engine, frames, rate, cameras=2)
    _, alone = run(workspace, engine, frames, rate, cameras=1)
    return {"fps": full, "in_step_ms": in_step, "alone_ms": alone}


def run(workspace: Workspace, engine: Path, frames: int, rate: float, cameras: int) -> tuple[float, dict[str, float]]:
    timings = Timings()
    source = f"test://?rate={rate}&parts=8&count={frames}"
    settings = [CameraSettings(source=source) for _ in range(cameras)]
    tally = run_station(workspace, engine, settings, None, timings, {})
    total = np.array([each.total for each in timings.seen])
    return tally.judged / tally.seconds, {f"p{p}": float(np.percentile(total, p)) for p in (50, 95)}


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    lines = [
        "# Engines that take several frames",
        "",
        f"{device_line(result['device'])} · load average at the end {result['load']:.1f}",
        "",
        f"Two cameras at full speed; then {result['rate']:g} frames a second each, in step, and one camera alone: "
        "capture to verdict.",
        "",
        "| engine | batch | a call, ms | a frame, ms | two cameras, frames a second | in step, p50 / p95 ms "
        "| alone, p50 / p95 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        step, alone = (f"{row[key]['p50']:.1f} / {row[key]['p95']:.1f}" for key in ("in_step_ms", "alone_ms"))
        lines.append(
            f"| {row['engine']} | {row['batch']} | {row['call_ms']:.1f} | {row['frame_ms']:.1f} | {row['fps']:.1f} "
            f"| {step} | {alone} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
