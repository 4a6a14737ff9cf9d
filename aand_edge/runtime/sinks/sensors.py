"""How warm the device is and what it draws, as Linux tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

INA3221_CHANNELS = (1, 2, 3)


class Reading(NamedTuple):
    """One sensor's value, °C or W. `place` is unique, `name` what the board calls it."""

    place: str
    name: str
    value: float


def temperatures(root: Path) -> Iterator[Reading]:
    """The thermal zones, °C. `root` is `/`, but for tests."""
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = _number(zone / "temp")
        if value is not None:
            yield Reading(zone.name, _text(zone / "type") or zone.name, value / 1000)


def powers(root: Path) -> Iterator[Reading]:
    """The rails of a Jetson's INA3221 monitors, W: millivolts times milliamperes of each channel with a name."""
    for monitor in sorted((root / "sys/bus/i2c/drivers").glob("ina3221*/*/hwmon/hwmon*")):
        for channel in INA3221_CHANNELS:
            name = _text(monitor / f"in{channel}_label")
            volts, amperes = _number(monitor / f"in{channel}_input"), _number(monitor / f"curr{channel}_input")
            if name and volts is not None and amperes is not None:
                yield Reading(f"{monitor.name}/{channel}", name, volts * amperes / 1e6)


def _text(path: Path) -> str:
    """What a file of the kernel says; nothing where a sensor sleeps (EAGAIN) or is not there."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None
