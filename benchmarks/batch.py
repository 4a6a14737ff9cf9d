"""Whether an engine that takes several frames pays: cameras that share it, at full speed, in step, and one alone.

    aand-edge build --precision fp32 && aand-edge build --precision fp32 --batch 2
    python -m benchmarks.batch WORKSPACE --engines NAME NAME-b2

Engines take turns, so that a slow spell of the machine hits all of them alike: calls are timed first; then the loop
runs with two cameras of rendered parts, as fast as they are judged and `--rate` frames a second each, and with one
camera alone, whose frames a larger batch is filled up for. Writes results/batch.json and .md.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aand_edge.artifacts import EngineManifest
from aand_edge.bench.device import describe_device
from aand_edge.bench.latency import measure_in_turn
from aand_edge.config import CameraSettings, Workspace
from aand_edge.engines.load import load_engine
from aand_edge.runtime.events import Event, Inspected
from aand_edge.runtime.station import run_station
from benchmarks.loop import Timings
from benchmarks.report import add_out, as_program, heading, parser_of, write_report

Row = dict[str, Any]


class Verdicts(Timings):
    """When each verdict came, too."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def append(self, event: Event) -> None:
        """Keep the moment of a verdict."""
        super().append(event)
        if isinstance(event, Inspected):
            self.moments.append(time.monotonic())

    @property
    def pace(self) -> float:
        """Seconds a frame, from the first verdict to the last."""
        return (self.moments[-1] - self.moments[0]) / (len(self.moments) - 1)


def main() -> None:
    """Time the calls, then the loop in rounds, and write what came out."""
    parser = parser_of("benchmarks.batch", __doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engines", nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--frames", type=int, default=40, help="of each camera, a round")
    parser.add_argument("--rate", type=float, default=10.0)
    add_out(parser, "batch")
    options = parser.parse_args()
    workspace = Workspace.open(options.workspace)
    paths = [workspace.engines / f"{name}.json" for name in options.engines]
    rows = calls(paths, options.repeats)
    loops = [in_loop(workspace, paths, options.frames, options.rate) for _ in range(options.rounds)]
    for row, rounds in zip(rows, zip(*loops, strict=True), strict=True):
        row |= pooled(list(rounds))
    result = {"rows": rows, "rate": options.rate, "load": os.getloadavg()[0], "device": describe_device()}
    write_report(options.out, result, markdown(result))


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


def in_loop(workspace: Workspace, engines: list[Path], frames: int, rate: float) -> list[tuple[Verdicts, ...]]:
    """Of each engine: two cameras at full speed, two in step, one alone."""
    kinds = ((0.0, 2), (rate, 2), (rate, 1))
    return [tuple(run(workspace, engine, frames, *kind) for kind in kinds) for engine in engines]


def run(workspace: Workspace, engine: Path, frames: int, rate: float, cameras: int) -> Verdicts:
    """The verdicts of so many cameras, each with `frames` of them; rate 0: as fast as they are judged."""
    verdicts = Verdicts()
    settings = [CameraSettings(source=f"test://?rate={rate}&parts=2&count={frames}") for _ in range(cameras)]
    run_station(workspace, engine, settings, None, verdicts, {})
    return verdicts


def pooled(rounds: list[tuple[Verdicts, ...]]) -> Row:
    """Frames a second at full speed; capture to verdict of all frames of the others."""
    full, in_step, alone = zip(*rounds, strict=True)
    return {
        "fps": 1 / float(np.mean([each.pace for each in full])),
        "in_step_ms": _percentiles(in_step),
        "alone_ms": _percentiles(alone),
    }


def _percentiles(rounds: tuple[Verdicts, ...]) -> dict[str, float]:
    total = [timing.total for each in rounds for timing in each.seen]
    return {f"p{p}": float(np.percentile(total, p, method="inverted_cdf")) for p in (50, 95)}


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    lines = [
        *heading("Engines that take several frames", result),
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
    as_program(main)
