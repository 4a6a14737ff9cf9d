"""The soak of benchmarks/, for a few seconds: faults of every kind, and every frame accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from aand_edge.engines.build import build_engine
from aand_edge.runtime import live_engine
from aand_edge.runtime.sources import camera
from benchmarks import soak
from tests.graphs import tiny_request


def test_every_frame_is_accounted_for_whatever_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_engine, "load_engine", live_engine.load_engine)  # the soak replaces both
    monkeypatch.setattr(camera, "BACKOFF_S", camera.BACKOFF_S)
    engine = build_engine(tiny_request(tmp_path))[0]
    result = soak.soak(engine, 12, tmp_path / "record", 20)  # a busy machine judges few frames in so short a time
    assert result["given"] == result["accounted"] > 500
    assert result["judged"] > 40
    assert {"torn", "other size", "engine", "SIGHUP"} <= set(result["injected"])
    assert result["engine_restarts"] == result["injected"]["engine"]
    assert result["events_left_out"]["jsonl"] == 0
    assert "| not accounted for | 0 |" in soak.markdown(result)
