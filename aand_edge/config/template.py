"""A commented `aand-edge.toml`: every key, with its default or an example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from aand_edge.artifacts import write_text
from aand_edge.config.sections import SCHEDULES, Backbone, ModelSettings, Preset, TrainSettings, default_levels
from aand_edge.config.workspace import FILE, parse
from aand_edge.errors import UsageError


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
    network, schedule = backbone or ModelSettings().backbone, preset or TrainSettings().preset
    text = TEMPLATE.format(
        root=_line("root", data.as_posix()) if data else '# root = "pictures"',
        root_example="" if data else "example: ",
        backbone=f"{'' if backbone else '# '}{_line('backbone', network)}",
        preset=f"{'' if preset else '# '}{_line('preset', schedule)}",
        **{key: f"# {_line(key, value)}" for key, value in SCHEDULES[schedule].items()},
        levels=f"# {_line('levels', default_levels(schedule, network, amplify=True))}",
    )
    parse(text, path)
    write_text(path, text)
    return path


def _check_name(what: str, name: str | None, names: tuple[str, ...]) -> None:
    if name is not None and name not in names:
        raise UsageError(f"There is no {what} '{name}'", f"Choose one of: {', '.join(names)}.")


def _line(key: str, value: str | float) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"  # a JSON string is a TOML string too


TEMPLATE = """\
# The workspace of aand-edge. Paths are relative to this file. A line behind # shows the default,
# or an example, where it says so: then nothing is set without it.

[data]
{root:<35} # {root_example}a category, or a folder of categories
# layout = "auto"                   # mvtec, visa, mvtec3d or folder
# category = "screw"                # example: where root holds several
# roi = [280, 0, 720, 720]          # example: x, y, width, height of the part of each picture to look at

[model]
{backbone:<35} # wide_resnet50_2 (the paper's), resnet50, resnet34, resnet18, efficientnet_lite0
# size = 256                        # side of the square picture, a multiple of 32
# weights = "resnet18.pth"          # example: in place of the published ImageNet weights

[train]
{preset:<35} # paper (100 + 120 epochs) or short (4 + 12, more of few pictures; for a CPU)
{epochs_amplify:<35} # this and the next six are the preset's, unless given
{epochs_distill}
{batch}
{lr}
{schedule:<35} # step or cosine
{steps_amplify:<35} # more epochs where the pictures are too few for so many steps;
{steps_distill:<35} # 0 where epochs are given and this is not
# seed = 0
# holdout = 0.1                     # share of the good pictures kept for the threshold
# amplify = true                    # false: reverse distillation
# hard_patches = 10                 # 0: its plain loss
{levels:<35} # scaled, standardised: each over its mean, its deviation on good parts;
                                    # equal where amplify = false
# textures = "dtd"                  # example: folder of textures for synthetic anomalies
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
# quantise = ["teacher2", "bottleneck"]   # example: regions of an int8 engine; `aand-edge inspect GRAPH` lists them
# backend = "auto"                  # tensorrt, tensorrt-rtx, openvino, onnxruntime; triton with --server
# batch = 1                         # frames a call, from cameras that share the engine
# threads = 0                       # of a CPU engine; 0: the backend's choice
# opt_level = 3                     # example: TensorRT: how long it searches for fast kernels, 0 to 5
# workspace_mb = 1024               # example: TensorRT: scratch memory of its kernels
# zero_copy = false                 # TensorRT on a Jetson: frames are read where the host wrote them

[bench]
# repeats = 200                     # timed frames an engine
# warmup = 20
# budget_ms = 50.0                  # example: P99 above it ends in exit code 6

[run]                               # what `aand-edge run` takes where no source is named
# engine = "NAME"                   # example: or triton://HOST:8001/MODEL; the only one of the workspace by default
# line = "line1"                    # example: in MQTT topics and Prometheus labels; the machine's name by default
# out = "verdicts"                  # example: verdicts.jsonl and pictures of rejected parts
# threshold = 0.05                  # example: in place of the engine's own; read again while it runs
# deadline_ms = 100.0               # example: from capture to verdict; read again while it runs
# video = "overlay.mp4"             # example: everything that was judged, with its heat
# fail_safe = "reject"              # or "pass": what the gate is told of a frame that failed or came late

# [[run.cameras]]                   # one table a camera
# source = "v4l2:///dev/video0"     # example: csi://0, rtsp://…, a file, a folder, test://, genicam://SERIAL
# name = "top"                      # example
# size = [1280, 720]                # example
# rate = 30.0                       # example
# exposure = 100.0                  # example
# flip = "none"                     # horizontal, vertical, both
# roi = [280, 0, 720, 720]          # example: read again while it runs
# follow = false                    # true: go on with pictures that come into a folder
# trigger = "free"                  # part-gate?line=0.5&axis=x&direction=1: one frame a part; or a frame a call of
                                    # gpio://18?edge=rising, mqtt://HOST/TOPIC, tcp://127.0.0.1:9100 (docs/line.md)

# [run.rejects]
# quota_mb = 1024.0                 # the oldest go first
# max_age_days = 30.0
# save_map = false                  # the raw anomaly map beside each picture

# [run.gate]
# output = "simulated:gate.log"     # example: gpio://18 on a Jetson, modbus://HOST:502/coil/3?unit=1; ?active_low=1
# distance_mm = 400.0               # example: from the camera to the gate; without it the gate moves with the verdict
# speed_mm_s = 250.0                # example: of a belt that never stops; of another, in its place, these two:
# encoder = "gpio://16"             # example: or modbus://HOST/holding/7?bits=32
# mm_per_pulse = 0.5                # example
# pulse_ms = 80.0
# lead_ms = 0.0                     # how long the actuator takes
# late = "skip"                     # or "pulse-now", where the part has passed already

# [run.drift]                       # warns when parts leave those that the engine was accepted on
# enabled = true
# window = 100                      # parts compared at once
# false_alarms = 0.0001             # chance that unchanged parts raise one, a window

# [run.mqtt]                        # the password is read from AAND_EDGE_MQTT_PASSWORD
# host = "broker"                   # example
# port = 8883                       # example: 1883 by default, 8883 with tls or ca
# topic = "aand-edge/{{line}}/{{camera}}"
# username = "line3"                # example
# tls = false                       # true: whom this machine trusts
# ca = "ca.pem"                     # example: in place of it: the broker's own authority
# queue = "mqtt-queue"              # example: what waits for the broker outlives a restart
# queue_mb = 64.0                   # of messages that wait; the oldest go first

# [run.webhook]
# url = "http://mes.local/rejects"  # example
# only_rejects = true
# headers = {{ Authorization = "$AAND_EDGE_WEBHOOK_TOKEN" }}   # example: a value of $NAME is the environment's

# [run.metrics]                     # Prometheus
# host = "127.0.0.1"
# port = 9090

# [run.page]                        # the live page; beyond 127.0.0.1 it asks for a token
# host = "127.0.0.1"                # 0.0.0.0: every address of this machine
# port = 8765
# token_file = "page.token"         # example: made where there is none; AAND_EDGE_PAGE_TOKEN goes before it
# names = ["line3.local"]           # example: under which browsers reach it, beside its address and its own name
"""
