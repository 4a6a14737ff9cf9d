"""What the camera loop costs beside the engine: capture to verdict minus inference, on the rendered test source.

    python benchmarks/loop.py WORKSPACE --engine NAME

The source is slower than the engine, so that no frame waits for the one before it. Writes results/loop.json and .md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.config import CameraSettings, Workspace
from aand_edge.runtime.events import Event, Inspected, Timing
from aand_edge.runtime.station import run_station

RESULTS = Path(__file__).resolve().parent / "results"


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
        if isinstance(event, Inspected):
            self.first = self.first or time.monotonic()
            self.seen.append(event.timing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rate", type=float, default=20.0)
    options = parser.parse_args()
    workspace = Workspace.open(options.workspace)
    timings, start = Timings(), time.monotonic()
    camera = CameraSettings(source=f"test://?rate={options.rate}&parts=8&count={options.frames}")
    tally = run_station(workspace, workspace.engines / f"{options.engine}.json", [camera], None, timings, {})
    total = np.array([each.total for each in timings.seen])
    inferred = np.array([each.inferred for each in timings.seen])
    beside = total - inferred
    assert timings.first is not None
    result = {
        "engine": options.engine,
        "frames": len(total),
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
    write_json(RESULTS / "loop.json", result)
    rows = [("inference", result["inference_ms"]), ("beside it, in all", result["beside_ms"])]
    rows += [(f"· {stage}", values) for stage, values in result["stages_ms"].items()]
    lines = [
        "# The loop beside the engine",
        "",
        f"{options.engine}, {len(total)} frames at {options.rate:g} a second. {device_line(result['device'])}",
        "",
        "| | p50, ms | p95, ms | p99, ms |",
        "|---|---|---|---|",
        *(f"| {name} | {v['p50']:.2f} | {v['p95']:.2f} | {v['p99']:.2f} |" for name, v in rows),
        "",
        f"Beside inference: {100 * result['share_of_inference']:.1f} % of it. From start, engine loaded and parts "
        f"rendered, to the first verdict: {result['start_to_first_verdict_s']:.2f} s.",
    ]
    write_text(RESULTS / "loop.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def _percentiles(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
    return {f"p{p}": float(np.percentile(values, p, method="inverted_cdf")) for p in (50, 95, 99)}


if __name__ == "__main__":
    main()
