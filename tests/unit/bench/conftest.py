"""A small category on disk, and runners that answer by what they see, so that every figure is known beforehand."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from aand_edge.artifacts import Acceptance, EngineManifest, Threshold
from aand_edge.bench.contender import Contender
from aand_edge.bench.memory import Memory
from aand_edge.bench.run import run_bench
from aand_edge.data.layouts import read_category
from aand_edge.engines.base import Outputs

SIZE = 16


class BrightnessRunner:
    """Scores a frame by its brightest spot: the map is the blue-first channel over 255, plus an offset."""

    def __init__(self, offset=0.0, seconds=0.0, channel=0):
        self.offset, self.seconds, self.channel = offset, seconds, channel
        self.batches = []
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.closed = True

    def infer(self, frames):
        self.batches.append(frames.shape)
        time.sleep(self.seconds)
        anomaly_map = np.float32(frames[..., self.channel] / 255 + self.offset)
        return Outputs(anomaly_map, anomaly_map.max(axis=(1, 2)))


def make_manifest(name="part.openvino.fp32", precision="fp32", backend="openvino", threshold=0.5, note="", batch=1):
    """A manifest of which the bench reads some fields."""
    return EngineManifest(
        name=name,
        model="part",
        engine=f"{name}.blob",
        engine_sha256="0" * 64,
        graph="part.onnx",
        graph_sha256="0" * 64,
        size=SIZE,
        frame=(SIZE, SIZE),
        colour="BGR",
        roi=None,
        batch=batch,
        precision=precision,
        executed={"f32": 80},
        precision_note=note,
        backend=backend,
        backend_version="1",
        device={},
        options={},
        acceptance=Acceptance(pictures=1, score_error_mean=0, score_error_max=0, score_spread=1, flips=0, scores=[0.1]),
        threshold=Threshold(value=threshold, rule="conformal"),
        built="2026-01-01T00:00:00+00:00",
    )


def make_contender(runner=None, **fields):
    """A contender that loads `runner`, or a fresh BrightnessRunner."""
    return Contender.from_manifest(make_manifest(**fields), BrightnessRunner if runner is None else lambda: runner)


def make_report(category, out, engines=1, **options):
    """A bench of that many engines, fp32 and then fp16 ones, quick."""
    names = [("part.openvino.fp32", "fp32")] + [(f"part.openvino.fp16-{n}", "fp16") for n in range(1, engines)]
    pairs = [(make_manifest(name, precision), BrightnessRunner) for name, precision in names]
    return run_bench(pairs, category, **{"repeats": 12, "warmup": 1, "budget_ms": None, "out": out, **options})


def write_picture(path, peak, spot=(4, 4)):
    """Grey of 40 with a square of `peak` at `spot`, SIZE × SIZE."""
    picture = np.full((SIZE, SIZE, 3), 40, np.uint8)
    picture[spot[0] : spot[0] + 4, spot[1] : spot[1] + 4] = peak
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def write_mask(path, spot=(4, 4)):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[spot[0] : spot[0] + 4, spot[1] : spot[1] + 4] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask)


@pytest.fixture
def category(tmp_path):
    """Three goods (one bright), two scratches with masks (one dim) and one stain without a mask."""
    root = tmp_path / "part"
    for number, peak in enumerate((50, 60)):
        write_picture(root / "train" / "good" / f"{number}.png", peak)
    for number, peak in enumerate((50, 60, 140)):
        write_picture(root / "test" / "good" / f"{number}.png", peak)
    for number, peak in enumerate((200, 100)):
        write_picture(root / "test" / "scratch" / f"{number}.png", peak)
        write_mask(root / "ground_truth" / "scratch" / f"{number}_mask.png")
    write_picture(root / "test" / "stain" / "0.png", 250)
    return read_category(root)


@pytest.fixture
def manifest():
    return make_manifest


@pytest.fixture
def contender():
    return make_contender


@pytest.fixture
def bench():
    return make_report


@pytest.fixture
def runner():
    return BrightnessRunner


@pytest.fixture
def quick(monkeypatch):
    """Without what takes a second each time: the process that measures memory, and the page's plots."""
    monkeypatch.setattr("aand_edge.bench.run.measure_memory", lambda contender: Memory(12.0))
    monkeypatch.setattr("aand_edge.bench.run.to_html", lambda report: "<!doctype html>")
