"""The drift alarm: how often unchanged parts raise it, and how soon a change of light, focus or parts does.

    python -m benchmarks.drift WORKSPACE --engine NAME

WORKSPACE is that of `make demo`: its engine knows rendered parts, of which any number can be made, for acceptance
too. The real loop takes the held-out pictures, a tenth of those for training.
Writes results/drift.json and .md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import EngineManifest
from aand_edge.bench.device import describe_device, device_line
from aand_edge.config import DriftSettings
from aand_edge.data.pictures import brightness
from aand_edge.data.sample import DEFECTS, render_part
from aand_edge.engines.base import Runner
from aand_edge.engines.load import load_engine
from aand_edge.runtime.drift import mann_whitney
from benchmarks.report import add_out, as_program, parser_of, write_report

DEFAULTS = DriftSettings()
SEED = 20_000  # rendered parts are told apart by it from those of the data set
REPEATS = 400  # streams that a change begins in, each at another part of its window
GIVEN_UP = 20  # windows after which a change counts as not found

Values = NDArray[np.float64]
Change = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]


@dataclass(frozen=True)
class Parts:
    """One value of each quantity for every part."""

    score: Values
    brightness: Values


CHANGES: dict[str, tuple[Change, float]] = {  # and the share of parts with a defect
    "lamp 5 % darker": (lambda picture, rng: _scaled(picture, 0.95), 0.0),
    "lamp 10 % darker": (lambda picture, rng: _scaled(picture, 0.90), 0.0),
    "lamp 20 % darker": (lambda picture, rng: _scaled(picture, 0.80), 0.0),
    "defocus, 0.7 px": (lambda picture, rng: _blurred(picture, 0.7), 0.0),
    "defocus, 1.5 px": (lambda picture, rng: _blurred(picture, 1.5), 0.0),
    "sensor noise, 4 levels": (lambda picture, rng: _noisy(picture, rng, 4.0), 0.0),
    "5 % of parts defective": (lambda picture, rng: picture, 0.05),
    "30 % of parts defective": (lambda picture, rng: picture, 0.30),
}


def main() -> None:
    """Look at parts as they were and as they change, and write how the alarm takes them."""
    parser = parser_of("benchmarks.drift", __doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--accepted", type=int, default=30, help="good parts that an engine is accepted on")
    parser.add_argument("--parts", type=int, default=4000, help="unchanged parts")
    parser.add_argument("--changed", type=int, default=300, help="parts of each change")
    add_out(parser, "drift")
    options = parser.parse_args()
    manifest, runner = load_engine(options.workspace / "engines" / f"{options.engine}.json")
    with runner:
        accepted = parts(manifest, runner, options.accepted, SEED - 1)
        good = parts(manifest, runner, options.parts, SEED)
        changed = {
            name: parts(manifest, runner, options.changed, SEED + 1 + number, change, share)
            for number, (name, (change, share)) in enumerate(CHANGES.items())
        }
    accepted = Parts(np.sort(accepted.score), np.sort(accepted.brightness))
    result = {
        "engine": options.engine,
        "accepted": len(accepted.score),
        "unchanged_parts": options.parts,
        "window": DEFAULTS.window,
        "false_alarms": {f"{chance:g}": false_alarms(good, len(accepted.score), chance) for chance in (0.01, 0.001)},
        "this_engine": alarms(good, accepted, DEFAULTS.false_alarms),
        "changes": {name: delay(good, each, accepted) for name, each in changed.items()},
        "device": describe_device(),
    }
    write_report(options.out, result, _markdown(result))


def parts(
    manifest: EngineManifest,
    runner: Runner,
    count: int,
    seed: int,
    change: Change = lambda picture, rng: picture,
    defective: float = 0.0,
) -> Parts:
    """Rendered parts as the engine sees them."""
    rng = np.random.default_rng(seed)
    scores, levels = np.empty(count), np.empty(count)
    for index in range(count):
        defect = str(rng.choice(list(DEFECTS))) if rng.random() < defective else None
        picture = change(render_part(rng, manifest.frame[0], defect)[0], rng)
        levels[index] = brightness(picture)
        ordered = picture if manifest.colour == "RGB" else picture[:, :, ::-1]
        scores[index] = runner.infer(np.ascontiguousarray(ordered)[None]).score[0]
    return Parts(scores, levels)


def false_alarms(good: Parts, accepted: int, chance: float, engines: int = 2000) -> dict[str, float]:
    """Share of windows of unchanged parts that raise an alarm, over engines accepted on other parts each."""
    rng, limit = np.random.default_rng(0), _limit(chance)
    raised = {"score": 0, "brightness": 0}
    for _ in range(engines):
        drawn = rng.permutation(len(good.score))
        some, window = drawn[:accepted], drawn[accepted : accepted + DEFAULTS.window]
        for name in raised:
            values: Values = getattr(good, name)
            raised[name] += abs(mann_whitney(values[window].tolist(), np.sort(values[some]))[1]) > limit
    return {name: count / engines for name, count in raised.items()}


def alarms(good: Parts, accepted: Parts, chance: float) -> dict[str, dict[str, float]]:
    """This engine over all unchanged parts, window after window."""
    told = {}
    for name in ("score", "brightness"):
        values, reference = getattr(good, name), getattr(accepted, name)
        windows = [values[at : at + DEFAULTS.window] for at in range(0, len(values), DEFAULTS.window)]
        found = [mann_whitney(window.tolist(), reference) for window in windows]
        told[name] = {
            "windows": len(windows),
            "alarms": sum(abs(deviations) > _limit(chance) for _, deviations in found),
            "share_mean": float(np.mean([share for share, _ in found])),
            "deviations_max": float(np.max(np.abs([deviations for _, deviations in found]))),
        }
    return told


def delay(good: Parts, changed: Parts, accepted: Parts) -> dict[str, dict[str, float | None]]:
    """Parts from a change to its alarm, where the change begins anywhere in a window."""
    told = {}
    for name in ("score", "brightness"):
        before, after, reference = getattr(good, name), getattr(changed, name), getattr(accepted, name)
        rng, needed = np.random.default_rng(1), []
        for _ in range(REPEATS):
            begun = int(rng.integers(DEFAULTS.window))
            count = GIVEN_UP * DEFAULTS.window
            stream = np.concatenate((rng.choice(before, begun), rng.choice(after, count - begun))).reshape(
                GIVEN_UP, DEFAULTS.window
            )
            for number, window in enumerate(stream, start=1):
                if abs(mann_whitney(window.tolist(), reference)[1]) > _limit(DEFAULTS.false_alarms):
                    needed.append(number * DEFAULTS.window - begun)
                    break
        told[name] = {
            "found": len(needed) / REPEATS,
            "parts_median": float(np.median(needed)) if needed else None,
            "share": mann_whitney(after.tolist(), reference)[0],
        }
    return told


def _limit(chance: float) -> float:
    return NormalDist().inv_cdf(1 - chance / 2)


def _scaled(picture: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    return np.round(picture * factor).astype(np.uint8)


def _blurred(picture: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.uint8)


def _noisy(picture: NDArray[np.uint8], rng: np.random.Generator, levels: float) -> NDArray[np.uint8]:
    return np.clip(picture + rng.normal(0, levels, picture.shape), 0, 255).astype(np.uint8)


def _markdown(result: dict[str, Any]) -> str:
    told, own = result["false_alarms"], result["this_engine"]
    lines = [
        "# The drift alarm",
        "",
        f"{result['engine']}, accepted on {result['accepted']} parts; windows of {result['window']} parts. "
        f"{device_line(result['device'])}",
        "",
        f"Unchanged data: {result['unchanged_parts']} rendered parts; 2,000 engines, each accepted on other parts.",
        "",
        "| allowed, a window | raised by score | raised by brightness |",
        "|---|---|---|",
        *(f"| {allowed} | {each['score']:.4f} | {each['brightness']:.4f} |" for allowed, each in told.items()),
        "",
        f"This engine, allowed {DEFAULTS.false_alarms:g}: "
        + "; ".join(f"{name} {each['alarms']} of {each['windows']} windows" for name, each in own.items())
        + ".",
        "",
        "Changes, by the score and by the brightness: how many of "
        f"{REPEATS} streams raised the alarm within {GIVEN_UP} windows, and after how many parts (median).",
        "",
        "| change | score | parts | brightness | parts |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {_found(each['score'])} | {_found(each['brightness'])} |"
            for name, each in result["changes"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _found(each: dict[str, float]) -> str:
    return f"{each['found']:.0%} | {'–' if each['parts_median'] is None else format(each['parts_median'], '.0f')}"


if __name__ == "__main__":
    as_program(main)
