"""One way to name every gate."""

from __future__ import annotations

from pathlib import Path

from aand_edge.errors import UsageError
from aand_edge.runtime.gates.base import Gate
from aand_edge.runtime.gates.gpio import GpioGate
from aand_edge.runtime.gates.modbus import ModbusGate
from aand_edge.runtime.gates.simulated import SimulatedGate
from aand_edge.runtime.modbus import ModbusPlace
from aand_edge.runtime.sources.redact import redact

ACTIVE_LOW = {"0": False, "1": True}


def open_gate(uri: str, folder: Path) -> Gate:
    """`simulated:[FILE]`, `gpio://PIN[?active_low=1]` or `modbus://HOST[:PORT]/coil/ADDRESS[?unit=1&active_low=1]`.

    A file is relative to `folder`. Raises UsageError for another name, MissingDependencyError where a package is
    missing.
    """
    if uri.startswith("simulated:"):
        name = uri.removeprefix("simulated:")
        return SimulatedGate(folder / name if name else None)
    pin, _, option = uri.removeprefix("gpio://").partition("?")
    if uri.startswith("gpio://") and pin.isdecimal() and option in ("", "active_low=0", "active_low=1"):
        return GpioGate(int(pin), option == "active_low=1")
    if uri.startswith("modbus://") and (gate := _modbus(uri)) is not None:
        return gate
    raise UsageError(
        f"There is no gate '{redact(uri)}'",
        "Take simulated:, simulated:FILE, gpio://PIN or modbus://HOST/coil/ADDRESS, the last two with ?active_low=1.",
    )


def _modbus(uri: str) -> ModbusGate | None:
    try:
        place, values = ModbusPlace.parse(uri)
        active_low = ACTIVE_LOW[values.pop("active_low", "0")]
    except (KeyError, ValueError):
        return None
    return None if values or place.kind != "coil" else ModbusGate(place, active_low)
