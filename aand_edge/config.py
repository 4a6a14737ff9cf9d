"""The workspace: a folder with `aand-edge.toml`, `models/`, `calib/`, `engines/` and `benchmarks/`.

[data]       which pictures          [calibrate]  how the ranges of int8 engines are read
[model]      which network           [build]      precision and backend of engines
[train]      how it learns           [bench]      how long and how hard to measure
[threshold]  how many good parts may be rejected     [run]  cameras and records of the loop
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aand_edge.artifacts import write_text
from aand_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "aand-edge.toml"

# Names that live where torch is needed; a test holds them to those.
Backbone = Literal["wide_resnet50_2", "resnet50", "resnet34", "resnet18", "efficientnet_lite0"]
Preset = Literal["paper", "short"]
Layout = Literal["auto", "mvtec", "visa", "mvtec3d", "folder"]
Schedule = Literal["step", "cosine"]
SCHEDULES: dict[str, dict[str, int | float | str]] = {
    "paper": {"epochs_amplify": 100, "epochs_distill": 120, "batch": 16, "lr": 0.005, "schedule": "step"},
    "short": {"epochs_amplify": 4, "epochs_distill": 12, "batch": 4, "lr": 0.005, "schedule": "cosine"},
}


class Section(BaseModel):
    """A table of the workspace file; a key that no one reads is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Section):
    """[data]"""

    root: Path | None = None
    layout: Layout = "auto"
    category: str | None = None


class ModelSettings(Section):
    """[model]"""

    backbone: Backbone = "wide_resnet50_2"
    size: int = 256
    weights: Path | None = None


class TrainSettings(Section):
    """[train]; what is None comes from the preset."""

    preset: Preset = "paper"
    epochs_amplify: int | None = None
    epochs_distill: int | None = None
    batch: int | None = None
    lr: float | None = None
    schedule: Schedule | None = None
    seed: int = 0
    holdout: float = 0.1
    amplify: bool = True
    hard_patches: int = Field(10, ge=0)
    textures: Path | None = None
    device: str = "auto"


class ThresholdSettings(Section):
    """[threshold]"""

    false_rejects: float = Field(0.01, gt=0, lt=1)


class CalibrateSettings(Section):
    """[calibrate]"""

    method: Literal["minmax", "percentile", "entropy", "mse"] = "percentile"
    percentile: float = Field(99.999, gt=0, le=100)
    images: int = Field(16, ge=1)
    anomalies: bool = False


class BuildSettings(Section):
    """[build]"""

    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    quantise: tuple[str, ...] | None = Field(None, min_length=1)
    backend: str = "auto"
    threads: int = Field(0, ge=0)
    opt_level: int | None = Field(None, ge=0, le=5)
    workspace_mb: int | None = Field(None, ge=1)
    zero_copy: bool = False


class BenchSettings(Section):
    """[bench]"""

    repeats: int = Field(200, ge=1)
    warmup: int = Field(20, ge=0)
    budget_ms: float | None = Field(None, gt=0)


Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Rectangle = tuple[
    Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]
]


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
    pulse_ms: float = Field(80.0, gt=0)
    lead_ms: float = Field(0.0, ge=0)
    late: Literal["skip", "pulse-now"] = "skip"


class MqttSettings(Section):
    """[run.mqtt]; the password comes from the environment, AAND_EDGE_MQTT_PASSWORD."""

    host: str
    port: int = Field(1883, ge=1, le=65535)
    topic: str = "aand-edge/{camera}"
    username: str | None = None
    tls: bool = False
    ca: Path | None = None
    queue: Path | None = None


class WebhookSettings(Section):
    """[run.webhook]"""

    url: str
    only_rejects: bool = True


class MetricsSettings(Section):
    """[run.metrics]"""

    host: str = "127.0.0.1"
    port: int = Field(9090, ge=0, le=65535)


class RejectsSettings(Section):
    """[run.rejects]"""

    quota_mb: float = Field(1024.0, gt=0)
    max_age_days: float = Field(30.0, gt=0)
    save_map: bool = False


class RunSettings(Section):
    """[run]; threshold, deadline_ms and fail_safe are read again while the loop runs, and so are cameras' roi."""

    engine: str | None = None
    cameras: tuple[CameraSettings, ...] = ()
    out: Path | None = None
    threshold: float | None = Field(None, allow_inf_nan=False)
    deadline_ms: float | None = Field(None, gt=0)
    fail_safe: Literal["reject", "pass"] = "reject"
    video: Path | None = None
    gate: GateSettings | None = None
    rejects: RejectsSettings = RejectsSettings()
    mqtt: MqttSettings | None = None
    webhook: WebhookSettings | None = None
    metrics: MetricsSettings | None = None


class Settings(Section):
    """The whole file."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    calibrate: CalibrateSettings = CalibrateSettings()
    build: BuildSettings = BuildSettings()
    bench: BenchSettings = BenchSettings()
    run: RunSettings = RunSettings()


@dataclass(frozen=True)
class Workspace:
    """A folder and what its file says."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, folder: Path | None = None) -> Workspace:
        """The workspace in `folder` (the current one by default); a folder without a file has the defaults.

        Raises UsageError, naming the key, where the file is wrong.
        """
        root = folder or Path.cwd()
        path = root / FILE
        return cls(root, _read(path) if path.is_file() else Settings())

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def calib(self) -> Path:
        return self.root / "calib"

    @property
    def engines(self) -> Path:
        return self.root / "engines"

    @property
    def benchmarks(self) -> Path:
        return self.root / "benchmarks"

    def resolve(self, path: Path) -> Path:
        """A path of the file, which is relative to the workspace."""
        return path if path.is_absolute() else self.root / path

    def resolve_optional(self, path: Path | None) -> Path | None:
        """As `resolve`, where there is a path."""
        return None if path is None else self.resolve(path)


def _read(path: Path) -> Settings:
    try:
        return _parse(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no TOML file: {error}", "Mend it, or write one with `aand-edge init`.") from None


def _parse(text: str, path: Path) -> Settings:
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return Settings.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML file: {error}", "Mend it, or write one with `aand-edge init`.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {key}: {first['msg']}", "Mend that line.") from None


def write_template(
    folder: Path, data: Path | None = None, backbone: str | None = None, preset: str | None = None
) -> Path:
    """Write a commented workspace file.

    Raises UsageError where there is one already, or where there is no such backbone or preset; then nothing is written.
    """
    path = folder / FILE
    if path.exists():
        raise UsageError(f"{path} exists already", "Edit it, or take another folder.")
    _check_name("backbone", backbone, get_args(Backbone))
    _check_name("preset", preset, get_args(Preset))
    text = TEMPLATE.format(
        root=_line("root", data.as_posix()) if data else '# root = "pictures"',
        backbone=_line("backbone", backbone) if backbone else '# backbone = "wide_resnet50_2"',
        preset=_line("preset", preset) if preset else '# preset = "paper"',
        **{key: f"# {_line(key, value)}" for key, value in SCHEDULES[preset or "paper"].items()},
    )
    _parse(text, path)
    write_text(path, text)
    return path


def _check_name(what: str, name: str | None, names: tuple[str, ...]) -> None:
    if name is not None and name not in names:
        raise UsageError(f"There is no {what} '{name}'", f"Choose one of: {', '.join(names)}.")


def _line(key: str, value: str | float) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"  # a JSON string is a TOML string too


TEMPLATE = """\
# The workspace of aand-edge. Paths are relative to this file; a line behind # shows the default.

[data]
{root:<35} # a category, or a folder of categories
# layout = "auto"                   # mvtec, visa, mvtec3d or folder
# category = "screw"                # where root holds several

[model]
{backbone:<35} # wide_resnet50_2 (the paper's), resnet50, resnet34, resnet18, efficientnet_lite0
# size = 256                        # side of the square picture, a multiple of 32
# weights = "resnet18.pth"          # in place of the published ImageNet weights

[train]
{preset:<35} # paper (100 + 120 epochs) or short (4 + 12, for a CPU)
{epochs_amplify:<35} # this and the next four are the preset's, unless given
{epochs_distill}
{batch}
{lr}
{schedule:<35} # step or cosine
# seed = 0
# holdout = 0.1                     # share of the good pictures kept for the threshold
# amplify = true                    # false: reverse distillation
# hard_patches = 10                 # 0: its plain loss
# textures = "dtd"                  # folder of textures for synthetic anomalies
# device = "auto"                   # cpu or cuda

[threshold]
# false_rejects = 0.01              # share of good parts that may be rejected

[calibrate]
# method = "percentile"             # minmax, entropy, mse
# percentile = 99.999               # of a tensor's values other than zero
# images = 16                       # held-out pictures to look at
# anomalies = false                 # true: also at synthetic anomalies on them

[build]
# precision = "fp32"                # fp16, int8
# quantise = ["teacher2", "bottleneck"]   # regions of an int8 engine; `aand-edge inspect GRAPH` lists them
# backend = "auto"                  # tensorrt, tensorrt-rtx, openvino or onnxruntime
# threads = 0                       # of a CPU engine; 0: the backend's choice
# opt_level = 3                     # TensorRT: how long it searches for fast kernels, 0 to 5
# workspace_mb = 1024               # TensorRT: scratch memory of its kernels
# zero_copy = false                 # TensorRT on a Jetson: frames are read where the host wrote them

[bench]
# repeats = 200                     # timed frames an engine
# warmup = 20
# budget_ms = 50.0                  # P99 above it ends in exit code 6

[run]                               # what `aand-edge run` takes where no source is named
# engine = "NAME"                   # the only one of the workspace by default
# out = "verdicts"                  # verdicts.jsonl and pictures of rejected parts
# threshold = 0.05                  # in place of the engine's own; read again while it runs
# deadline_ms = 100.0               # from capture to verdict; read again while it runs
# video = "overlay.mp4"             # everything that was judged, with its heat
# fail_safe = "reject"              # or "pass": what the gate is told of a frame that failed or came late

# [[run.cameras]]                   # one table a camera
# source = "v4l2:///dev/video0"     # csi://0, rtsp://…, a file, a folder, test://, genicam://SERIAL
# name = "top"
# size = [1280, 720]
# rate = 30.0
# exposure = 100.0
# flip = "none"                     # horizontal, vertical, both
# roi = [280, 0, 720, 720]          # read again while it runs
# trigger = "free"                  # part-gate?line=0.5&axis=x&direction=1: one frame a part

# [run.rejects]
# quota_mb = 1024.0                 # the oldest go first
# max_age_days = 30.0
# save_map = false                  # the raw anomaly map beside each picture

# [run.gate]
# output = "simulated:gate.log"     # gpio://18 on a Jetson, ?active_low=1
# distance_mm = 400.0               # from the camera to the gate
# speed_mm_s = 250.0
# pulse_ms = 80.0
# lead_ms = 0.0                     # how long the actuator takes
# late = "skip"                     # or "pulse-now", where the part has passed already

# [run.mqtt]                        # the password is read from AAND_EDGE_MQTT_PASSWORD
# host = "broker"
# port = 1883
# topic = "aand-edge/{{camera}}"
# queue = "mqtt-queue"              # what waits for the broker outlives a restart
# tls = false                       # true, or also ca = "ca.pem"

# [run.webhook]
# url = "http://mes.local/rejects"
# only_rejects = true

# [run.metrics]                     # Prometheus
# host = "127.0.0.1"
# port = 9090
"""
