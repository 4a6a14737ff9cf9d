"""A soak ends well only where nothing was lost, torn or dead, and nothing grew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak import __main__ as soak
from benchmarks.soak.growth import COLUMNS
from benchmarks.soak.report import FLOORS, SETTLED_S, faults


def soaked(seconds: float = 3600, **changed: Any) -> dict[str, Any]:
    """One in which all is well, but for what is changed."""
    flat = {name: {"slope_an_hour": 0.0, "standard_error": 0.1} for name in COLUMNS}
    mqtt = {"given": 100, "sent": 90, "waiting": 5, "dropped": 2, "refused": 3}
    well = {"seconds": seconds, "given": 1000, "accounted": 1000, "mqtt": mqtt, "torn_lines": 0, "dead_threads": []}
    return {**well, "growth": flat, **changed}


def grown(name: str, slope: float, error: float) -> dict[str, Any]:
    return {"growth": {**soaked()["growth"], name: {"slope_an_hour": slope, "standard_error": error}}}


@pytest.mark.parametrize("changed", [{}, {"mqtt": {}}, {"growth": {}}])
def test_a_soak_in_which_all_is_well_has_no_fault(changed: dict[str, Any]) -> None:
    assert faults(soaked(**changed)) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"accounted": 997}, "3 frames are not"),
        ({"mqtt": {"given": 100, "sent": 90, "waiting": 5, "dropped": 0, "refused": 3}}, "2 messages for the broker"),
        ({"mqtt": {"given": 1, "sent": 2, "waiting": 0, "dropped": 0, "refused": 0}}, "-1 messages"),
        ({"torn_lines": 1}, "1 lines of the record"),
        ({"dead_threads": ["it was the codec"]}, "A thread died: it was the codec"),
        (grown("threads", 100, 3), "threads grew by 100.00 ± 3.00 an hour"),
    ],
)
def test_each_fault_is_told(changed: dict[str, Any], fault: str) -> None:
    (told,) = faults(soaked(**changed))
    assert told.startswith(fault)


def test_two_faults_are_both_told() -> None:
    assert len(faults(soaked(torn_lines=2, accounted=0))) == 2


@pytest.mark.parametrize("name", COLUMNS)
def test_what_grows_is_above_its_floor_and_its_error(name: str) -> None:
    floor = FLOORS[name]
    assert faults(soaked(**grown(name, 1.1 * floor, 0.5 * floor)))
    assert not faults(soaked(**grown(name, 0.9 * floor, 0.01 * floor)))
    assert not faults(soaked(**grown(name, 3 * floor, 1.6 * floor)))
    assert not faults(soaked(SETTLED_S - 1, **grown(name, 9 * floor, 0)))


def test_the_command_ends_with_the_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "soak", lambda *given: soaked(torn_lines=2))
    monkeypatch.setattr(soak, "markdown", lambda result: "")
    monkeypatch.setattr(sys, "argv", ["soak", "engine.json", "--record", "none", "--out", str(tmp_path / "soak")])
    with pytest.raises(SystemExit, match="2 lines of the record are torn"):
        soak.main()
