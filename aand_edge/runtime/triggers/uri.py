"""One way to name every trigger: `free`, `part-gate?…`, `gpio://PIN`, `mqtt://HOST/TOPIC`, `tcp://HOST:PORT`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from aand_edge.config import MQTT_PASSWORD
from aand_edge.errors import UsageError
from aand_edge.runtime.events import Noticed
from aand_edge.runtime.mqtt import MqttBroker, usual_port
from aand_edge.runtime.ports import check_port
from aand_edge.runtime.sources.redact import redact
from aand_edge.runtime.triggers.base import Trigger
from aand_edge.runtime.triggers.external import ExternalTrigger
from aand_edge.runtime.triggers.line import Line
from aand_edge.runtime.triggers.part_gate import PartGate

OF_CAMERA = ("delay_ms", "timeout_ms")  # of each camera's own; the rest is the line's
Values = dict[str, str]


def open_triggers(
    texts: Mapping[str, str], tell: Callable[[Noticed], None] = lambda notice: None
) -> dict[str, Trigger | None]:
    """Each camera's trigger, not started yet; None for "free": every frame is judged. Cameras of one line share it.

    tell   hears that a broker went away, or that a port has too many clients

    Raises UsageError for another name or a value that cannot be, MissingDependencyError where a package is missing.
    """
    lines: dict[str, Line] = {}
    return {camera: _open(text, lines, tell) for camera, text in texts.items()}


def _open(text: str, lines: dict[str, Line], tell: Callable[[Noticed], None]) -> Trigger | None:
    if text == "free":
        return None
    name, _, query = text.partition("?")
    values = dict(parse_qsl(query, keep_blank_values=True))
    try:
        if name == "part-gate":
            return _part_gate(values)
        check_port(name)
        if "://" in name and "#" not in text:  # a # would cut a topic short
            own = {key: values.pop(key) for key in OF_CAMERA if key in values}
            key = f"{name}?{sorted(values.items())}"
            if key not in lines:
                lines[key] = _line(urlsplit(name), values, tell)
            delay_ms, timeout_ms = float(own.get("delay_ms", 0)), float(own.get("timeout_ms", 500))
            if 0 <= delay_ms < 1e6 and 0 < timeout_ms < 1e6:
                return ExternalTrigger(lines[key], delay_ms / 1000, timeout_ms / 1000)
    except (KeyError, ValueError):
        pass
    raise UsageError(
        f"There is no trigger '{redact(text)}'",
        "Take free, part-gate?line=0.5&axis=x&direction=1, gpio://18?edge=rising, mqtt://HOST/TOPIC or "
        "tcp://127.0.0.1:9100, the last three with &delay_ms=0&timeout_ms=500.",
    )


def _part_gate(values: Values) -> PartGate:
    _refuse_others(values, "line", "axis", "direction", "min_area")
    return PartGate(
        float(values.get("line", 0.5)),
        values.get("axis", "x"),
        int(values.get("direction", 0)),
        float(values.get("min_area", 0.01)),
    )


def _line(place: SplitResult, values: Values, tell: Callable[[Noticed], None]) -> Line:
    if place.password is not None:
        raise ValueError  # it is the environment's
    if place.scheme == "gpio":
        from aand_edge.runtime.triggers.gpio import GpioLine

        _refuse_others(values, "edge", "debounce_ms")
        falling = {"rising": False, "falling": True}[values.get("edge", "rising")]
        return GpioLine(int(place.netloc), "falling" if falling else "rising", int(values.get("debounce_ms", 0)))
    if place.scheme == "tcp" and place.hostname and place.port is not None and place.path in ("", "/"):
        from aand_edge.runtime.triggers.tcp import TcpLine

        _refuse_others(values, "reply")
        return TcpLine(place.hostname, place.port, {"0": False, "1": True}[values.get("reply", "0")], tell)
    if place.scheme in ("mqtt", "mqtts") and place.hostname and place.path.strip("/"):
        from aand_edge.runtime.triggers.mqtt import MqttLine

        _refuse_others(values)
        user = unquote(place.username) if place.username else None
        password = os.environ.get(MQTT_PASSWORD) if user else None
        tls = place.scheme == "mqtts"
        broker = MqttBroker(place.hostname, place.port or usual_port(tls), user, password, tls)
        return MqttLine(broker, unquote(place.path[1:]), tell)
    raise ValueError


def _refuse_others(values: Values, *known: str) -> None:
    if not values.keys() <= set(known):
        raise ValueError
