"""The workspace: a folder with `aand-edge.toml`, `models/`, `calib/`, `engines/` and `benchmarks/`.

[data]       which pictures          [calibrate]  how the ranges of int8 engines are read
[model]      which network           [build]      precision and backend of engines
[train]      how it learns           [bench]      how long and how hard to measure
[threshold]  how many good parts may be rejected     [run]  cameras, gate and sinks of the loop
"""

from __future__ import annotations

from aand_edge.config.run import (
    MQTT_PASSWORD,
    CameraSettings,
    DriftSettings,
    GateSettings,
    MetricsSettings,
    MqttSettings,
    PageSettings,
    RejectsSettings,
    RunSettings,
    WebhookSettings,
    named_cameras,
    plain_name,
)
from aand_edge.config.sections import (
    SCHEDULES,
    Backbone,
    BenchSettings,
    BuildSettings,
    CalibrateSettings,
    DataSettings,
    Layout,
    Levels,
    ModelSettings,
    Preset,
    Schedule,
    Section,
    ThresholdSettings,
    TrainSettings,
    default_levels,
)
from aand_edge.config.template import write_template
from aand_edge.config.workspace import FILE, Settings, Workspace

__all__ = [
    "FILE",
    "MQTT_PASSWORD",
    "SCHEDULES",
    "Backbone",
    "BenchSettings",
    "BuildSettings",
    "CalibrateSettings",
    "CameraSettings",
    "DataSettings",
    "DriftSettings",
    "GateSettings",
    "Layout",
    "Levels",
    "MetricsSettings",
    "ModelSettings",
    "MqttSettings",
    "PageSettings",
    "Preset",
    "RejectsSettings",
    "RunSettings",
    "Schedule",
    "Section",
    "Settings",
    "ThresholdSettings",
    "TrainSettings",
    "WebhookSettings",
    "Workspace",
    "default_levels",
    "named_cameras",
    "plain_name",
    "write_template",
]
