"""One way to name every encoder."""

from __future__ import annotations

import math
from urllib.parse import parse_qsl, urlsplit

from aand_edge.errors import UsageError
from aand_edge.runtime.encoders.base import Encoder
from aand_edge.runtime.encoders.gpio import GpioEncoder
from aand_edge.runtime.encoders.modbus import ModbusEncoder
from aand_edge.runtime.encoders.simulated import SimulatedEncoder
from aand_edge.runtime.modbus import ModbusPlace
from aand_edge.runtime.sources.redact import redact


def open_encoder(uri: str) -> Encoder:
    """`gpio://PIN[?edge=falling]`, `modbus://HOST/holding/ADDRESS[?bits=32&poll_ms=10]` or `simulated:RATE`.

    Raises UsageError for another name, MissingDependencyError where a package is missing.
    """
    try:
        if uri.startswith("gpio://"):
            return _gpio(uri)
        if uri.startswith("modbus://"):
            return _modbus(uri)
        rate = float(uri.removeprefix("simulated:"))
        if uri.startswith("simulated:") and rate > 0 and math.isfinite(rate):
            return SimulatedEncoder(rate)
    except (KeyError, ValueError):
        pass
    raise UsageError(
        f"There is no encoder '{redact(uri)}'",
        "Take gpio://PIN, modbus://HOST/holding/ADDRESS?bits=32 or simulated:500.",
    )


def _gpio(uri: str) -> GpioEncoder:
    parts = urlsplit(uri)
    values = dict(parse_qsl(parts.query, keep_blank_values=True))
    falling = {"rising": False, "falling": True}[values.pop("edge", "rising")]
    if values or parts.path.strip("/"):
        raise ValueError
    return GpioEncoder(int(parts.netloc), "falling" if falling else "rising")


def _modbus(uri: str) -> ModbusEncoder:
    place, values = ModbusPlace.parse(uri)
    wide = {"16": False, "32": True}[values.pop("bits", "16")]
    poll_ms = float(values.pop("poll_ms", 10))
    if values or place.kind == "coil" or not 1 <= poll_ms <= 1000:
        raise ValueError
    return ModbusEncoder(place, wide, poll_ms / 1000)
