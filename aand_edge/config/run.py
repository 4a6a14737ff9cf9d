"""The section [run] of `aand-edge.toml`: cameras, gate and sinks of the camera loop."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from aand_edge.config.sections import Rectangle, Section
from aand_edge.errors import UsageError

MQTT_PASSWORD = "AAND_EDGE_MQTT_PASSWORD"  # of the environment: a file may be read by others

Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class CameraSettings(Section):
    """[[run.cameras]]"""

    source: str
    name: str | None = None
    size: Size | None = None
    rate: float | None = Field(None, gt=0)
    exposure: float | None = None
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    roi: Rectangle | None = None
    follow: bool = False
    trigger: str = "free"


class GateSettings(Section):
    """[run.gate]"""

    output: str
    distance_mm: float = Field(0.0, ge=0)
    speed_mm_s: float | None = Field(None, gt=0)
    encoder: str | None = None
    mm_per_pulse: float | None = Field(None, gt=0)
    pulse_ms: float = Field(80.0, gt=0)
    lead_ms: float = Field(0.0, ge=0)
    late: Literal["skip", "pulse-now"] = "skip"


class MqttSettings(Section):
    """[run.mqtt]; the password comes from the environment, AAND_EDGE_MQTT_PASSWORD. {line} in a topic is [run] line."""

    host: str
    port: int | None = Field(None, ge=1, le=65535)  # None: the usual one, which TLS changes
    topic: str = "aand-edge/{line}/{camera}"
    username: str | None = None
    tls: bool = False
    ca: Path | None = None
    queue: Path | None = None
    queue_mb: float = Field(64.0, gt=0)


class WebhookSettings(Section):
    """[run.webhook]; a header's value that is "$NAME" comes from the environment."""

    url: str
    only_rejects: bool = True
    headers: dict[str, str] = Field(default_factory=dict)


class MetricsSettings(Section):
    """[run.metrics]"""

    host: str = "127.0.0.1"
    port: int = Field(9090, ge=0, le=65535)


class PageSettings(Section):
    """[run.page]; the token may come from the environment too, AAND_EDGE_PAGE_TOKEN."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8765, ge=0, le=65535)
    token_file: Path | None = None
    names: tuple[str, ...] = ()


class RejectsSettings(Section):
    """[run.rejects]"""

    quota_mb: float = Field(1024.0, gt=0)
    max_age_days: float = Field(30.0, gt=0)
    save_map: bool = False


class DriftSettings(Section):
    """[run.drift]; see `runtime.drift`."""

    enabled: bool = True
    window: int = Field(100, ge=20)
    false_alarms: float = Field(1e-4, gt=0, lt=0.5)


class RunSettings(Section):
    """[run]; threshold, deadline_ms and fail_safe are read again while the loop runs, and so are cameras' roi."""

    engine: str | None = None
    line: str | None = Field(None, min_length=1)
    cameras: tuple[CameraSettings, ...] = ()
    out: Path | None = None
    threshold: float | None = Field(None, ge=0)  # as scores are
    deadline_ms: float | None = Field(None, gt=0)
    fail_safe: Literal["reject", "pass"] = "reject"
    video: Path | None = None
    gate: GateSettings | None = None
    rejects: RejectsSettings = RejectsSettings()
    drift: DriftSettings = DriftSettings()
    mqtt: MqttSettings | None = None
    webhook: WebhookSettings | None = None
    metrics: MetricsSettings | None = None
    page: PageSettings | None = None

    @property
    def line_name(self) -> str:
        """What this station is called among a plant's: the machine's name, unless the file says another."""
        return self.line or socket.gethostname()


def plain_name(text: str) -> str:
    """A camera's name as part of a file's name or of a topic: what is no letter, digit, dash or dot becomes `_`."""
    return "".join(each if each.isalnum() or each in "-." else "_" for each in text) or "_"


def named_cameras(cameras: Sequence[CameraSettings], of_file: bool = False) -> dict[str, CameraSettings]:
    """Each camera under a name of its own: the given one, or camera1, camera2, …

    Raises UsageError where two have one, or one in files and topics; `of_file` says where to mend it.
    """
    named = {each.name or f"camera{number}": each for number, each in enumerate(cameras, start=1)}
    hint = f"Give each a name of its own: {'name under [[run.cameras]]' if of_file else 'NAME=SOURCE'}."
    if len(named) < len(cameras):
        raise UsageError("Two cameras have one name", hint)
    plain: dict[str, str] = {}
    for name in named:
        if (other := plain.setdefault(plain_name(name), name)) != name:
            raise UsageError(f"The cameras '{other}' and '{name}' have one name in files and topics", hint)
    return named
