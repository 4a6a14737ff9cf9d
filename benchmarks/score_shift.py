"""How far each precision moves the scores of good parts: those that ranges were read from, and those that gave none.

    python -m benchmarks.score_shift --workspace DIR --data DIR --name screw-resnet18

A threshold read from held-out pictures holds for new parts if an engine treats both alike. Reads the workspace's
OpenVINO engines of one model, fp32 among them; their manifests hold the held-out scores, and the good test pictures are
judged here. Writes results/score-shift-NAME.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import EngineManifest, calibration_rows, write_text
from aand_edge.bench.accuracy import judge_split
from aand_edge.bench.contender import Contender
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Category, read_category
from aand_edge.engines.load import list_engines, load_engine
from benchmarks import RESULTS
from benchmarks.report import parser_of

Scores = NDArray[np.float64]


def scores_of(path: Path, goods: Category) -> tuple[EngineManifest, Scores, Scores]:
    """An engine's manifest, its scores of the held-out pictures and of the good test pictures."""
    manifest, runner = load_engine(path)
    with runner:
        judged = judge_split(runner, Contender.from_manifest(manifest, lambda: runner), goods.test).judgements
    return manifest, np.array(manifest.acceptance.scores), np.array([each.score for each in judged])


def rows(folder: Path, goods: Category) -> list[tuple[str, str, Scores]]:
    """(engine, group of pictures, shift of their scores against fp32)."""
    engines = [scores_of(path, goods) for path in list_engines(folder) if ".openvino." in path.name]
    full = next(engine for engine in engines if engine[0].precision == "fp32")
    found = []
    for manifest, held_out, test in engines:
        if manifest.precision == "fp32":
            continue
        shift = held_out - full[1]
        gave = calibration_rows(len(shift), manifest.calibrated_on)
        if len(gave):
            found.append((manifest.name, "held out, ranges were read", shift[gave]))
        found.append((manifest.name, "held out, none were read" if len(gave) else "held out", np.delete(shift, gave)))
        found.append((manifest.name, "good test pictures", test - full[2]))
    return found


def markdown(name: str, found: list[tuple[str, str, Scores]], spread: float) -> str:
    """The table."""
    lines = [
        f"# Scores of good parts at lower precision: {name}",
        "",
        device_line(describe_device()),
        "",
        f"Score less the fp32 engine's; the fp32 scores of the held-out pictures spread by {spread:.4f}.",
        "",
        "| engine | pictures | count | mean shift | standard deviation | largest |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {engine} | {group} | {len(shift)} | {shift.mean():+.4f} | {shift.std():.4f} | {np.abs(shift).max():.4f} |"
        for engine, group, shift in found
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Parse the command line, judge, write."""
    parser = parser_of("benchmarks.score_shift", __doc__)
    parser.add_argument("--workspace", type=Path, required=True, help="with fp32, fp16 and int8 engines of one model")
    parser.add_argument("--data", type=Path, required=True, help="the model's data set, with good test pictures")
    parser.add_argument("--name", required=True, help="of the result file")
    options = parser.parse_args()
    category = read_category(options.data)
    goods = replace(category, test=tuple(sample for sample in category.test if not sample.anomalous))
    folder = options.workspace / "engines"
    full = next(folder.glob("*.openvino.fp32.json"))
    spread = EngineManifest.read(full).acceptance.score_spread
    text = markdown(options.name, rows(folder, goods), spread)
    write_text(RESULTS / f"score-shift-{options.name}.md", text)
    print(text)


if __name__ == "__main__":
    main()
