"""One way to name every gate."""

from __future__ import annotations

from pathlib import Path

from aand_edge.errors import UsageError
from aand_edge.runtime.gates.base import Gate
from aand_edge.runtime.gates.gpio import GpioGate
from aand_edge.runtime.gates.simulated import SimulatedGate


def open_gate(uri: str, folder: Path) -> Gate:
    """`simulated:[FILE]` or `gpio://PIN[?active_low=1]`; a file is relative to `folder`.

    Raises UsageError for another name, MissingDependencyError where a package is missing.
    """
    if uri.startswith("simulated:"):
        name = uri.removeprefix("simulated:")
        return SimulatedGate(folder / name if name else None)
    pin, _, option = uri.removeprefix("gpio://").partition("?")
    if uri.startswith("gpio://") and pin.isdecimal() and option in ("", "active_low=0", "active_low=1"):
        return GpioGate(int(pin), option == "active_low=1")
    raise UsageError(f"There is no gate '{uri}'", "Take simulated:, simulated:FILE or gpio://PIN, ?active_low=1.")
