"""What the camera loop costs beside the engine: capture to verdict minus inference, on the rendered test source.

    python -m benchmarks.loop WORKSPACE --engine NAME

The source is slower than the engine, so that no frame waits for the one before it. Writes results/loop.json and .md.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.bench.device import describe_device, device_line
from aand_edge.config import CameraSettings, Workspace
from aand_edge.runtime.events import Event, Inspected, Timing
from aand_edge.runtime.station import run_station
from benchmarks.report import add_out, as_program, parser_of, write_report

Values = NDArray[np.float64]


class Timings:
    """A sink that keeps every stage's milliseconds."""

    name = "timings"

    def __init__(self) -> None:
        self.seen: list[Timing] = []
        self.first: float | None = None

    def __enter__(self) -> Timings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held back."""

    def append(self, event: Event) -> None:
        """Keep the timing of a verdict."""
        if isinstance(event, Inspected):
            self.first = self.first or time.monotonic()
            self.seen.append(event.timing)


def main() -> None:
    """Run the loop, and write what it took beside the engine."""
    parser = parser_of("benchmarks.loop", __doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rate", type=float, default=20.0)
    add_out(parser, "loop")
    options = parser.parse_args()
    result = measure(Workspace.open(options.workspace), options.engine, options.frames, options.rate)
    write_report(options.out, result, markdown(result))


def measure(workspace: Workspace, engine: str, frames: int, rate: float) -> dict[str, Any]:
    """Milliseconds of each stage, as plain values."""
    timings, start = Timings(), time.monotonic()
    camera = CameraSettings(source=f"test://?rate={rate}&parts=8&count={frames}")
    tally = run_station(workspace, workspace.engines / f"{engine}.json", [camera], None, timings, {})
    total = np.array([each.total for each in timings.seen])
    inferred = np.array([each.inferred for each in timings.seen])
    beside = total - inferred
    assert timings.first is not None
    return {
        "engine": engine,
        "frames": len(total),
        "rate": rate,
        "dropped": sum(tally.dropped.values()),
        "inference_ms": _percentiles(inferred),
        "beside_ms": _percentiles(beside),
        "stages_ms": {
            stage: _percentiles(np.array([getattr(each, stage) for each in timings.seen]))
            for stage in ("waited", "prepared", "judged")
        },
        "share_of_inference": float(np.median(beside) / np.median(inferred)),
        "start_to_first_verdict_s": timings.first - start,
        "device": describe_device(),
    }


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    rows = [("inference", result["inference_ms"]), ("beside it, in all", result["beside_ms"])]
    rows += [(f"· {stage}", values) for stage, values in result["stages_ms"].items()]
    lines = [
        "# The loop beside the engine",
        "",
        f"{result['engine']}, {result['frames']} frames at {result['rate']:g} a second. "
        f"{device_line(result['device'])}",
        "",
        "| | p50, ms | p95, ms | p99, ms |",
        "|---|---|---|---|",
        *(f"| {name} | {v['p50']:.2f} | {v['p95']:.2f} | {v['p99']:.2f} |" for name, v in rows),
        "",
        f"Beside inference: {100 * result['share_of_inference']:.1f} % of it. From start, engine loaded and parts "
        f"rendered, to the first verdict: {result['start_to_first_verdict_s']:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


def _percentiles(values: Values) -> dict[str, float]:
    return {f"p{p}": float(np.percentile(values, p, method="inverted_cdf")) for p in (50, 95, 99)}


if __name__ == "__main__":
    as_program(main)
