"""AUPRO beside a literal transcription of its definition: how much they differ, and how much faster ours is.

    python -m benchmarks.metrics

160 maps at 256², with 120 pictures of one to four defects. The literal way sweeps thresholds, and measures at each the
false-positive rate and the overlap of every region. It is exact only where it visits every value, so the maps hold
`--levels` different ones: both must then agree to rounding.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.ndimage import gaussian_filter, label

from aand_edge.bench.device import describe_device, device_line
from aand_edge.evaluation.aupro import FPR_LIMIT, aupro
from benchmarks.report import add_out, as_program, parser_of, write_report

SIDE = 256

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]


def draw(pictures: int, levels: int, seed: int) -> tuple[Maps, Masks]:
    """Smooth maps that find most of each defect, with `levels` different values; and the defects of three in four."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((pictures, SIDE, SIDE), bool)
    for mask in masks[pictures // 4 :]:
        for _ in range(int(rng.integers(1, 5))):
            height, width = rng.integers(4, 40, 2)
            top, left = rng.integers(0, SIDE - height), rng.integers(0, SIDE - width)
            mask[top : top + height, left : left + width] = True
    noise = rng.standard_normal(masks.shape, dtype=np.float32)
    maps = np.stack([gaussian_filter(each, 4) for each in noise + 0.8 * masks])
    edges = np.quantile(maps, np.linspace(0, 1, levels + 1)[1:-1])
    return np.searchsorted(edges, maps).astype(np.float32), masks


def literal(maps: Maps, masks: Masks) -> float:
    """Bergmann et al., IJCV 2021, section 5.1, as it is written."""
    regions = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        labels, found = label(mask, structure=np.ones((3, 3)))
        regions += [anomaly_map[labels == number] for number in range(1, found + 1)]
    normal = maps[~masks]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        overlap = float(np.mean([(region >= threshold).mean() for region in regions]))
        points.append((float((normal >= threshold).mean()), overlap))
    rates, overlaps = np.array(points).T
    inside = rates < FPR_LIMIT
    rates_inside = np.append(rates[inside], FPR_LIMIT)
    overlaps_inside = np.append(overlaps[inside], np.interp(FPR_LIMIT, rates, overlaps))
    return float(trapezoid(overlaps_inside, rates_inside) / FPR_LIMIT)


def timed(function: Any, *arguments: Any, repeats: int = 1) -> tuple[float, float]:
    """The answer, and the median of the processor seconds it took."""
    seconds, answer = [], 0.0
    for _ in range(repeats):
        start = time.process_time()
        answer = function(*arguments)
        seconds.append(time.process_time() - start)
    return answer, float(np.median(seconds))


def main() -> None:
    """Measure, and write what came out."""
    parser = parser_of("benchmarks.metrics", __doc__)
    parser.add_argument("--pictures", type=int, default=160)
    parser.add_argument("--levels", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    add_out(parser, "metrics")
    options = parser.parse_args()
    maps, masks = draw(options.pictures, options.levels, options.seed)
    ours, our_seconds = timed(aupro, maps, list(masks), repeats=5)
    theirs, their_seconds = timed(literal, maps, masks)
    result = {
        "pictures": options.pictures,
        "side": SIDE,
        "levels": options.levels,
        "aupro": ours,
        "literal": theirs,
        "difference": abs(ours - theirs),
        "seconds": our_seconds,
        "literal_seconds": their_seconds,
        "times_as_fast": their_seconds / our_seconds,
        "device": describe_device(),
    }
    write_report(options.out, result, markdown(result))


def markdown(result: dict[str, Any]) -> str:
    """The result as a table."""
    return "\n".join(
        [
            "# AUPRO beside its literal definition",
            "",
            f"{result['pictures']} maps of {result['side']}², {result['levels']} different values. "
            f"{device_line(result['device'])}.",
            "",
            "| | AUPRO | processor seconds |",
            "|---|---|---|",
            f"| ours | {result['aupro']:.9f} | {result['seconds']:.2f} |",
            f"| literal, every threshold | {result['literal']:.9f} | {result['literal_seconds']:.1f} |",
            "",
            f"They differ by {result['difference']:.1e}; ours is {result['times_as_fast']:.0f} times as fast.",
            "",
        ]
    )


if __name__ == "__main__":
    as_program(main)
