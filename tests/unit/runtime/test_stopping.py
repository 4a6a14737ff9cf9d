"""A stop's stages are the promised two seconds together, and each part's own limits lie within its stage."""

from __future__ import annotations

import pytest

from aand_edge.runtime import conveyor, loop, stopping
from aand_edge.runtime.sinks import mqtt, webhook
from aand_edge.runtime.stopping import CAMERAS_S, GATE_S, SINKS_S, Deadline
from aand_edge.runtime.triggers import mqtt as topic
from aand_edge.runtime.triggers import tcp


def test_the_stages_are_two_seconds_together() -> None:
    assert loop.IDLE_S + CAMERAS_S + GATE_S + SINKS_S <= 2


def test_each_part_ends_within_its_stage() -> None:
    assert max(topic.LEAVE_S, tcp.LEAVE_S) < CAMERAS_S
    assert conveyor.DRAIN_S + conveyor.ANSWER_S < GATE_S
    assert mqtt.FLUSH_S < mqtt.LEAVE_S < SINKS_S
    assert webhook.LEAVE_S < SINKS_S


def test_the_page_ends_within_the_sinks_stage() -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from aand_edge.runtime.live_page import serving

    assert serving.FAREWELL_S + serving.ENDING_S < SINKS_S


def test_who_waits_takes_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 100.0
    monkeypatch.setattr(stopping.time, "monotonic", lambda: moment)
    end = Deadline(0.5)
    assert end.left == pytest.approx(0.5)
    moment = 100.3
    assert end.left == pytest.approx(0.2)
    moment = 101.0
    assert end.left == 0
