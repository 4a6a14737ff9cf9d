"""The counters, gauges and histograms that Prometheus reads. Imports prometheus-client.

Every sample carries the line's name, so that one Prometheus tells the stations of a plant apart by what they are and
not by their addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from aand_edge import __version__
from aand_edge.artifacts import EngineManifest
from aand_edge.runtime.events import SourceState
from aand_edge.runtime.sinks.sensors import powers, temperatures

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
JITTER_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
# Scores differ in scale from engine to engine; as a share of the threshold they do not.
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)


FATES = ("passed", "rejected", "failed")
DROPPED = ("newest", "trigger", "stopped")
RESULTS = ("opened", "merged", "missed")


class RunningEngine(Protocol):
    """What is asked of `live_engine.LiveEngine`, whose manifest changes with it."""

    manifest: EngineManifest
    restarts: int


class Instruments:
    """All of them, in a registry of their own. Times are in seconds, as Prometheus has them.

    line     a label of every sample; "" leaves it out
    engine   the engine that judges, where its name is to be told
    """

    def __init__(self, root: Path, line: str = "", engine: RunningEngine | None = None) -> None:
        registry = CollectorRegistry()
        self.exposed = Lined(registry, line)
        self._met: set[str] = set()
        by_camera = ("camera",)
        self.frames = Counter(
            "aand_frames", "Frames by fate: passed, rejected, failed", ("camera", "fate"), registry=registry
        )
        self.dropped = Counter(
            "aand_frames_dropped", "Frames that nobody looked at", ("camera", "reason"), registry=registry
        )
        self.fps = Gauge("aand_fps", "Judged frames a second, over the last 10 s", by_camera, registry=registry)
        self.stages = Histogram(
            "aand_stage_seconds",
            "Time from capture to verdict, by stage and in total",
            ("camera", "stage"),
            registry=registry,
            buckets=SECONDS,
        )
        self.judged = Gauge(
            "aand_last_verdict_timestamp_seconds", "When the last part was judged", by_camera, registry=registry
        )
        self.late = Counter("aand_deadline_misses", "Verdicts after the deadline", by_camera, registry=registry)
        self.score = Histogram("aand_score_share", "Score over threshold", by_camera, registry=registry, buckets=SHARES)
        self.threshold = Gauge("aand_threshold", "The threshold in use", by_camera, registry=registry)
        self.source = Gauge("aand_source_state", "1 for the state it is in", ("camera", "state"), registry=registry)
        self.reconnects = Counter("aand_reconnects", "Live again after a loss", by_camera, registry=registry)
        self.pulses = Counter(
            "aand_gate_pulses",
            "Rejected parts at the gate: opened, merged, missed",
            ("camera", "result"),
            registry=registry,
        )
        self.pulses_late = Counter("aand_gate_late", "Verdicts after the part had passed", by_camera, registry=registry)
        self.jitter = Histogram(
            "aand_gate_jitter_seconds",
            "How long after the part's own moment the gate moved",
            by_camera,
            registry=registry,
            buckets=JITTER_SECONDS,
        )
        by_quantity = ("camera", "quantity")
        self.drift = Gauge(
            "aand_drift_share", "Pairs in which a part lies above an accepted picture", by_quantity, registry=registry
        )
        self.drifted = Gauge("aand_drifted", "1 while parts have left the accepted", by_quantity, registry=registry)
        self.notices = Counter("aand_notices", "Notices to the operator", ("level",), registry=registry)
        self.sink_failures = Counter("aand_sink_failures", "Events a sink could not take", ("sink",), registry=registry)
        registry.register(_Device(root))
        if engine is not None:
            registry.register(_Engine(engine))

    def meet(self, camera: str) -> None:
        """Begin a camera's counts at 0: of a counter that first appears at 1, Prometheus sees no increase."""
        if camera in self._met:
            return
        self._met.add(camera)
        for counter, values in ((self.frames, FATES), (self.dropped, DROPPED), (self.pulses, RESULTS)):
            for value in values:
                counter.labels(camera, value)
        for plain in (self.late, self.reconnects, self.pulses_late):
            plain.labels(camera)

    def source_is(self, camera: str, state: SourceState) -> None:
        """1 for the state that a camera is in, 0 for the others."""
        for each in SourceState:
            self.source.labels(camera, each.value).set(int(each == state))


class Lined:
    """A registry as it is exposed: every sample with the line's name."""

    def __init__(self, registry: CollectorRegistry, line: str) -> None:
        self._registry, self._line = registry, line

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            if self._line:
                family.samples = [
                    sample._replace(labels={"line": self._line, **sample.labels}) for sample in family.samples
                ]
            yield family


class _Engine:
    """What judges now, and how often it had to be opened afresh."""

    def __init__(self, engine: RunningEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        manifest = self._engine.manifest
        labels = {
            "engine": manifest.name,
            "model": manifest.model,
            "backend": manifest.backend,
            "precision": manifest.precision,
            "graph": manifest.graph_sha256[:12],
            "version": __version__,
        }
        info = GaugeMetricFamily("aand_engine_info", "1, with the engine that judges", labels=tuple(labels))
        info.add_metric(tuple(labels.values()), 1)
        yield info
        restarts = CounterMetricFamily("aand_engine_restarts", "How often the engine was opened afresh")
        restarts.add_metric((), self._engine.restarts)
        yield restarts


class _Device:
    """Temperature and power, read when Prometheus asks."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def collect(self) -> Iterator[GaugeMetricFamily]:
        warmth = GaugeMetricFamily("aand_temperature_celsius", "Thermal zones", labels=("zone", "type"))
        for each in temperatures(self._root):
            warmth.add_metric((each.place, each.name), each.value)
        yield warmth
        draw = GaugeMetricFamily("aand_power_watts", "Power rails", labels=("channel", "rail"))
        for each in powers(self._root):
            draw.add_metric((each.place, each.name), each.value)
        yield draw
