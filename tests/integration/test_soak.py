"""The soak of benchmarks/, for a few seconds: faults of every kind, and every frame and message accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aand_edge.engines.build import build_engine
from benchmarks.soak.faults import mosquitto
from benchmarks.soak.growth import slope_an_hour
from benchmarks.soak.report import markdown
from benchmarks.soak.run import soak
from tests.graphs import tiny_request


def test_every_frame_is_accounted_for_whatever_breaks(tmp_path: Path) -> None:
    engine = build_engine(tiny_request(tmp_path))[0]
    result = soak(engine, 12, tmp_path / "record", 20)  # a busy machine judges few frames in so short a time
    assert result["given"] == result["accounted"] > 300
    assert result["judged"] > 40
    assert {"metrics read", "page watched"} <= set(result["injected"])
    assert {"torn JPEG", "other size", "engine error", "SIGHUP", "clock step"} <= set(result["injected"])
    assert result["engine_restarts"] == result["injected"]["engine error"]
    assert result["sinks"]["jsonl"] == {"left_out": 0, "failed": 0}
    assert result["torn_lines"] == 0
    assert result["dead_threads"] == []
    assert "| not accounted for | 0 |" in markdown(result)
    if mosquitto():
        assert result["injected"]["broker away"]
        messages = result["mqtt"]
        assert messages.pop("given") == sum(messages.values()) > 300


def test_a_slope_is_told_with_an_error_that_covers_what_a_process_keeps_by_itself() -> None:
    """A series without a slope whose values resemble those before them, as memory's do."""
    rng, seconds = np.random.default_rng(0), np.arange(3600) * 0.5
    kept = rng.normal(size=(3600, 200))
    for index in range(1, 3600):
        kept[index] += 0.99 * kept[index - 1]
    slopes, errors = np.array([slope_an_hour(seconds, each) for each in kept.T]).T
    assert np.mean(abs(slopes) > 2 * errors) < 0.15
    slope, error = slope_an_hour(seconds, 100 + seconds / 3600 * 7 + rng.normal(size=3600))
    assert slope == pytest.approx(7, abs=3 * error)
    assert error < 1
