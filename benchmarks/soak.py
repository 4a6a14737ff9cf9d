"""Leave the loop running with faults injected, and account for every frame.

    python benchmarks/soak.py WORKSPACE/engines/NAME.json --seconds 3600 --out benchmarks/results/soak

Two cameras of rendered parts at full speed: one drops what it cannot judge, one waits. Injected: pictures that cannot
be decoded, pictures of another size, stalls, lost connections, a wall clock that steps back an hour, an engine that
fails, a sink that is slow, one whose disk is full at times, and storms of SIGHUP. At the end every frame that a camera
gave must be judged, dropped or failed, and memory must not have grown.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device
from aand_edge.engines.base import Frames, Outputs, Runner
from aand_edge.errors import DataError, SourceError
from aand_edge.runtime import live_engine
from aand_edge.runtime.delivery import Outlet
from aand_edge.runtime.events import Event, Noticed
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import Loop, LoopSettings
from aand_edge.runtime.mailbox import Mailbox, Policy
from aand_edge.runtime.reload import Reloader
from aand_edge.runtime.sinks.jsonl import JsonlSink
from aand_edge.runtime.sources import camera as cameras
from aand_edge.runtime.sources.base import Grab, SourceOptions, StalledError
from aand_edge.runtime.sources.camera import Camera
from aand_edge.runtime.sources.rendered import RenderedSource
from aand_edge.runtime.station import signals

FAULTS = {"torn": 0.01, "other size": 0.01, "stall": 0.002, "lost": 0.002, "clock step": 0.001}  # of reads
ENGINE_FAILS_EVERY = 400  # calls
Counts = dict[str, int]


class FaultyCamera:
    """Rendered parts, and what goes wrong between a camera and a computer. Counts what it gave."""

    def __init__(self, seed: int, live: bool, counts: Counts) -> None:
        values = {"rate": "200" if live else "0", "parts": "4", "seed": str(seed)}
        self._parts = RenderedSource(values, SourceOptions())
        self.live, self.given = live, 0
        self._rng, self._counts = np.random.default_rng(seed), counts

    def open(self) -> None:
        self._parts.open()

    def close(self) -> None:
        """Nothing to give back."""

    def read(self) -> Grab | None:
        fault = str(self._rng.choice([*FAULTS, "none"], p=[*FAULTS.values(), 1 - sum(FAULTS.values())]))
        if not self.live and fault in ("stall", "lost"):
            fault = "none"  # a file that breaks is not opened again
        if fault != "none":
            self._counts[fault] = self._counts.get(fault, 0) + 1
        if fault == "lost":
            raise SourceError("the cable was pulled")
        if fault == "stall":
            time.sleep(0.05)
            raise StalledError("no picture within 0.05 s")
        grab = self._parts.read()
        assert grab is not None
        self.given += 1
        if fault == "torn":
            raise DataError("the picture is torn")
        if fault == "other size":
            grab = replace(grab, picture=np.ascontiguousarray(grab.picture[::2, ::3]))
        if fault == "clock step":
            grab = replace(grab, time=grab.time - timedelta(hours=1))
        return grab


class FaultyRunner:
    """An engine that fails now and then; it has to be opened afresh."""

    def __init__(self, runner: Runner, counts: Counts, fails_every: int) -> None:
        self._runner, self._counts, self._fails_every, self._calls = runner, counts, fails_every, 0

    def infer(self, frames: Frames) -> Outputs:
        self._calls += 1
        if self._calls == self._fails_every:
            self._counts["engine"] = self._counts.get("engine", 0) + 1
            raise RuntimeError("an illegal memory access was encountered")
        return self._runner.infer(frames)

    def close(self) -> None:
        self._runner.close()

    def __enter__(self) -> FaultyRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Troubled:
    """A sink that is slow, or whose disk is full, for a second of every ten."""

    def __init__(self, name: str) -> None:
        self.name, self._start = name, time.monotonic()

    def __enter__(self) -> Troubled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held back."""

    def append(self, event: Event) -> None:
        if (time.monotonic() - self._start) % 10 < 1:
            if self.name == "slow":
                time.sleep(0.05)
            else:
                raise OSError(28, "No space left on device")


def soak(engine: Path, seconds: float, out: Path, engine_fails_every: int = ENGINE_FAILS_EVERY) -> dict[str, Any]:
    """Run it; the record lies in `out`."""
    counts: Counts = {}
    load = live_engine.load_engine

    def faulty(path: Path) -> tuple[Any, FaultyRunner]:
        manifest, runner = load(path)
        return manifest, FaultyRunner(runner, counts, engine_fails_every)

    live_engine.load_engine = faulty
    cameras.BACKOFF_S = (0.02, 0.1)
    sources = {"line": FaultyCamera(0, True, counts), "files": FaultyCamera(1, False, counts)}
    late: list[Loop] = []

    def tell(notice: Noticed) -> None:
        late[0].publish(notice)

    memory: list[tuple[float, float]] = []
    with ExitStack() as stack:
        live = stack.enter_context(LiveEngine(engine))
        mailbox = Mailbox({"line": Policy.NEWEST, "files": Policy.LOSSLESS})
        ready = [Camera(name, f"test://{name}", mailbox.put, None, None, each) for name, each in sources.items()]
        record = stack.enter_context(Outlet(JsonlSink(out, max_mb=1, keep_mb=4), False, False, tell))
        troubled = [stack.enter_context(Outlet(Troubled(name), True, False, tell)) for name in ("slow", "full")]
        reloader = Reloader(out, out / "aand-edge.toml", live, ready, {}, tell)
        loop = Loop(live, mailbox, ready, [record, *troubled], LoopSettings(deadline_ms=200), look_around=reloader)
        late.append(loop)
        clock = threading.Thread(target=_conduct, args=(loop, seconds, counts, memory))
        with signals(loop.stop, reloader.request):
            clock.start()
            tally = loop.run()
            clock.join()
        left_out = {outlet.name: outlet.lost for outlet in (record, *troubled)}
    live_engine.load_engine = load
    given = sum(each.given for each in sources.values())
    summary = tally.to_dict()
    accounted = summary["judged"] + summary["dropped"] + summary["failed"]
    slope, error = _slope(memory)
    return {
        "seconds": round(summary["seconds"], 1),
        "given": given,
        "accounted": accounted,
        **{key: summary[key] for key in ("judged", "dropped", "failed", "late", "reconnects")},
        "injected": counts,
        "engine_restarts": live.restarts,
        "events_left_out": left_out,
        "memory_mb": [round(each, 1) for _, each in (memory[0], memory[-1])],
        "memory_slope_mb_an_hour": [round(slope, 2), round(error, 2)],
        "latency_ms": summary["latency_ms"],
        "inference_ms": summary["inference_ms"],
        "loop_ms": summary["loop_ms"],
        "device": describe_device(),
    }


def _conduct(loop: Loop, seconds: float, counts: Counts, memory: list[tuple[float, float]]) -> None:
    """Note the memory, send storms of SIGHUP, and end it."""
    end, storm = time.monotonic() + seconds, time.monotonic() + min(5.0, seconds / 3)
    while time.monotonic() < end:
        memory.append((time.monotonic(), _resident_mb()))
        if time.monotonic() > storm:
            storm += 20
            counts["SIGHUP"] = counts.get("SIGHUP", 0) + 100
            for _ in range(100):
                os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(min(0.5, seconds / 20))
    loop.stop()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _slope(memory: list[tuple[float, float]]) -> tuple[float, float]:
    """Megabytes an hour over the second half, and its standard error; what an allocator keeps comes in the first."""
    half = np.array(memory[len(memory) // 2 :])
    x, y = (half[:, 0] - half[:, 0].mean()) / 3600, half[:, 1] - half[:, 1].mean()
    slope = float((x * y).sum() / (x * x).sum())
    spread = np.sqrt(((y - slope * x) ** 2).sum() / max(1, len(x) - 2) / (x * x).sum())
    return slope, float(spread)


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    slope, error = result["memory_slope_mb_an_hour"]
    rows = [
        ("seconds", result["seconds"]),
        ("frames given by the cameras", result["given"]),
        ("judged + dropped + failed", f"{result['judged']} + {result['dropped']} + {result['failed']}"),
        ("not accounted for", result["given"] - result["accounted"]),
        (
            "faults injected",
            ", ".join(f"{n} {name}" for name, n in sorted(result["injected"].items())),
        ),
        ("engine opened afresh", result["engine_restarts"]),
        ("late (200 ms)", result["late"]),
        ("events a sink never saw", ", ".join(f"{name} {n}" for name, n in result["events_left_out"].items())),
        ("memory, first and last", f"{result['memory_mb'][0]} MB, {result['memory_mb'][1]} MB"),
        ("memory slope, second half", f"{slope} ± {error} MB an hour"),
        ("inference p50", f"{result['inference_ms']['p50']:.2f} ms"),
        ("beside inference p50 (prepare, judge)", f"{result['loop_ms']['p50']:.2f} ms"),
    ]
    device = result["device"]
    name = device.get("cpu", device) if isinstance(device, dict) else device
    lines = ["# Soak", "", f"On {name}.", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--engine-fails-every", type=int, default=ENGINE_FAILS_EVERY, help="calls; 0: it never fails")
    parser.add_argument("--record", type=Path, required=True, help="an empty folder for verdicts.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="without a suffix: .json and .md are written")
    options = parser.parse_args()
    result = soak(options.engine, options.seconds, options.record, options.engine_fails_every)
    write_json(options.out.with_suffix(".json"), result)
    write_text(options.out.with_suffix(".md"), markdown(result))
    print(markdown(result))
    if result["given"] != result["accounted"]:
        raise SystemExit(f"{result['given'] - result['accounted']} frames are not accounted for")


if __name__ == "__main__":
    main()
