"""What Prometheus reads: `http://HOST:PORT/metrics`."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aand_edge.errors import MissingDependencyError
from aand_edge.runtime.events import (
    Compared,
    Dropped,
    Event,
    Failed,
    Inspected,
    Noticed,
    Pulsed,
    SourceChanged,
)
from aand_edge.runtime.ports import unavailable
from aand_edge.runtime.sinks.payload import camera_of

if TYPE_CHECKING:
    from aand_edge.runtime.sinks.instruments import Instruments, Lined, RunningEngine

PATH = "/metrics"
POLL_S = 0.05
MOST_READERS = 8  # at a time
READER_S = 2.0  # from its connection to the end of its answer, however slowly it speaks
WINDOW_S = 10.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsSink:
    """Counts events, and answers Prometheus over HTTP from threads of its own.

    host   127.0.0.1 answers this machine alone, 0.0.0.0 everyone: the figures are not protected
    port   0 takes a free one, to be read from `port`
    root   where the kernel's files lie, for temperature and power; `/`, but for tests
    line   what the station is called among a plant's: a label of every figure; "" leaves it out
    engine the engine that judges, where it is to be told
    """

    name = "metrics"

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9090,
        root: Path = Path("/"),
        line: str = "",
        engine: RunningEngine | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._root, self._line, self._engine = root, line, engine
        self._rates: dict[str, Rate] = {}

    def __enter__(self) -> MetricsSink:
        """Raises what `unavailable` gives for a port, MissingDependencyError without prometheus-client."""
        self._told = _instruments(self._root, self._line, self._engine)
        try:
            self._server = _Server(self.host, self.port, self._told.exposed)
        except (OSError, OverflowError) as error:
            raise unavailable("The metrics cannot be served", self.host, self.port, error) from None
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="aand-metrics", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def append(self, event: Event) -> None:
        """Count an event."""
        if (camera := camera_of(event)) is not None:
            self._told.meet(camera)
        if isinstance(event, Inspected):
            self._inspected(event)
        elif isinstance(event, Failed):
            self._told.frames.labels(event.camera, "failed").inc()
        elif isinstance(event, Dropped):
            self._told.dropped.labels(event.camera, event.reason).inc(event.count)
        elif isinstance(event, SourceChanged):
            self._told.source_is(event.camera, event.state)
            self._told.reconnects.labels(event.camera).inc(int(event.again))
        elif isinstance(event, Pulsed):
            self._pulsed(event)
        elif isinstance(event, Compared):
            self._told.drift.labels(event.camera, event.quantity).set(event.share)
            self._told.drifted.labels(event.camera, event.quantity).set(int(event.drifted))
        elif isinstance(event, Noticed):
            self._told.notices.labels(event.level).inc()

    def sink_failed(self, sink: str) -> None:
        """Count a sink that could not take an event; for the loop, from any thread."""
        self._told.sink_failures.labels(sink).inc()

    def _inspected(self, event: Inspected) -> None:
        told, camera, verdict = self._told, event.frame.camera, event.verdict
        told.frames.labels(camera, "rejected" if event.rejected else "passed").inc()
        told.judged.labels(camera).set(event.frame.time.timestamp() + event.timing.total / 1000)
        told.late.labels(camera).inc(int(event.late))
        for stage, milliseconds in asdict(event.timing).items():
            told.stages.labels(camera, stage).observe(milliseconds / 1000)
        told.threshold.labels(camera).set(verdict.threshold)
        if verdict.threshold > 0:
            told.score.labels(camera).observe(verdict.score / verdict.threshold)
        if camera not in self._rates:
            self._rates[camera] = Rate()
            told.fps.labels(camera).set_function(self._rates[camera].per_second)
        self._rates[camera].tick()

    def _pulsed(self, event: Pulsed) -> None:
        result = "missed" if event.missed else "merged" if event.merged else "opened"
        self._told.pulses.labels(event.camera, result).inc()
        self._told.pulses_late.labels(event.camera).inc(int(event.late))
        if not event.missed:
            self._told.jitter.labels(event.camera).observe(event.jitter_ms / 1000)


class Rate:
    """How often something happens: per second, over the last ten seconds, or since it began."""

    def __init__(self) -> None:
        self._began: int | None = None
        self._seconds: deque[list[int]] = deque(maxlen=int(WINDOW_S) + 1)  # second on the monotonic clock, count

    def tick(self) -> None:
        """It happens now."""
        second = int(time.monotonic())
        self._began = second if self._began is None else self._began
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0])
        self._seconds[-1][1] += 1

    def per_second(self) -> float:
        """Of the whole seconds before this one, so that a steady rate reads steady."""
        now = int(time.monotonic())
        seconds = WINDOW_S if self._began is None else min(WINDOW_S, max(1, now - self._began))
        return sum(count for second, count in list(self._seconds) if now - seconds <= second < now) / seconds


class _Server(ThreadingMixIn, TCPServer):
    """A thread for each reader, so that a slow one holds up neither the others nor the end of the run."""

    allow_reuse_address = True  # a port that an earlier run left a moment ago is free
    daemon_threads = True

    def __init__(self, host: str, port: int, exposed: Lined) -> None:
        self.exposed = exposed
        self._readers: dict[socket.socket, float] = {}  # and when each came
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more."""
        return len(self._readers) < MOST_READERS

    def process_request(self, request: Any, client_address: Any) -> None:
        self._readers[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._readers.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Every `POLL_S`: cut off who takes too long."""
        self._cut(came_before=time.monotonic() - READER_S)

    def server_close(self) -> None:
        super().server_close()
        self._cut(came_before=time.monotonic())

    def _cut(self, came_before: float) -> None:
        for reader, came in list(self._readers.items()):
            if came <= came_before:
                with suppress(OSError):  # it is gone already
                    reader.shutdown(socket.SHUT_RDWR)  # its thread wakes, and ends

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up is no concern of the line; the standard library would print a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READER_S
    server_version = "aand-edge"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        from prometheus_client import generate_latest

        body = generate_latest(self.server.exposed)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Standard error is the command line's."""


def _instruments(root: Path, line: str, engine: RunningEngine | None) -> Instruments:
    try:
        from aand_edge.runtime.sinks.instruments import Instruments
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The metrics need prometheus-client, which is not installed",
            'Install it with `pip install "aand-edge[metrics]"`.',
        ) from None
    return Instruments(root, line, engine)
