"""Judging frames one after the other, every frame accounted for: judged, or failed with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aand_edge.artifacts import EngineManifest
from aand_edge.data.resize import resize, uncrop
from aand_edge.engines.base import Outputs, Runner
from aand_edge.errors import DataError
from aand_edge.runtime.pictures import Frame
from aand_edge.runtime.verdict import Verdict, judge

Sink = Callable[[Frame, Verdict, Outputs], None]


@dataclass
class Tally:
    """What became of the frames."""

    judged: int = 0
    rejected: int = 0
    failed: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The summary that `run --json` ends with; pictures from files are never dropped."""
        percentiles = (50, 95, 99)
        latency = (
            {f"p{p}": float(np.percentile(self.latencies_ms, p, method="inverted_cdf")) for p in percentiles}
            if self.latencies_ms
            else {}
        )
        return {
            "judged": self.judged,
            "rejected": self.rejected,
            "dropped": 0,
            "failed": self.failed,
            "fps": self.judged / self.seconds if self.seconds else 0.0,
            "latency_ms": latency,
        }


def inspect_frames(
    frames: Iterable[Frame | Exception],
    manifest: EngineManifest,
    runner: Runner,
    sink: Sink,
    failure: Callable[[Exception], None],
) -> Tally:
    """Judge every frame by the engine's own threshold and hand it to `sink`; what is no frame goes to `failure`."""
    tally, start = Tally(), time.monotonic()
    for each in frames:
        frame = _checked(each, manifest)
        if isinstance(frame, Exception):
            tally.failed += 1
            failure(frame)
            continue
        begin = time.perf_counter()
        raw = runner.infer(prepare(frame, manifest))
        outputs = Outputs(uncrop(raw.anomaly_map[0], manifest.frame, manifest.roi)[None], raw.score[:1])
        verdict = judge(outputs, manifest.threshold, (frame.picture.shape[0], frame.picture.shape[1]))[0]
        tally.latencies_ms.append(1000 * (time.perf_counter() - begin))
        tally.judged += 1
        tally.rejected += verdict.rejected
        sink(frame, verdict, outputs)
    tally.seconds = time.monotonic() - start
    return tally


def _checked(frame: Frame | Exception, manifest: EngineManifest) -> Frame | Exception:
    """A frame of the wrong size is none for an engine that looks at a region: the region would lie elsewhere."""
    if isinstance(frame, Exception) or manifest.roi is None or frame.picture.shape[:2] == manifest.frame:
        return frame
    (height, width), (wanted_height, wanted_width) = frame.picture.shape[:2], manifest.frame
    return DataError(
        f"{frame.name} is {width}x{height}, and the engine looks at a region of {wanted_width}x{wanted_height}",
        "Give it frames of that size, or build for this one with --frame and --roi.",
    )


def prepare(frame: Frame, manifest: EngineManifest) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """uint8 (N, H, W, 3) in the engine's size and channel order; a batch of more than one repeats the frame."""
    picture = resize(frame.picture, *manifest.frame)
    if manifest.colour == "BGR":
        picture = picture[:, :, ::-1]
    return np.ascontiguousarray(np.repeat(picture[None], manifest.batch, axis=0))
