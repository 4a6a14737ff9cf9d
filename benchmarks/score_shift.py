"""How far each precision moves the scores of good parts: those that ranges were read from, and those that gave none.

    python -m benchmarks.score_shift --workspace DIR --data DIR --name screw-resnet18

A threshold read from held-out pictures holds for new parts if an engine treats both alike. Reads the workspace's
OpenVINO engines of one model, fp32 among them; their manifests hold the held-out scores, and the good test pictures are
judged here. Writes results/score-shift-NAME.json and .md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import EngineManifest
from aand_edge.bench.accuracy import judge_split
from aand_edge.bench.contender import Contender
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Category, read_category
from aand_edge.engines.load import list_engines, load_engine
from aand_edge.holdout import calibration_rows
from benchmarks import RESULTS
from benchmarks.report import as_program, parser_of, write_report

Scores = NDArray[np.float64]


def scores_of(path: Path, goods: Category) -> tuple[EngineManifest, Scores, Scores]:
    """An engine's manifest, its scores of the held-out pictures and of the good test pictures."""
    manifest, runner = load_engine(path)
    with runner:
        judged = judge_split(runner, Contender.from_manifest(manifest, lambda: runner), goods.test).judgements
    return manifest, np.array(manifest.acceptance.scores), np.array([each.score for each in judged])


def shifts(folder: Path, goods: Category) -> dict[str, Any]:
    """How far each engine's scores lie from the fp32 engine's, a row a group of pictures, as plain values."""
    engines = [scores_of(path, goods) for path in list_engines(folder) if ".openvino." in path.name]
    full = [engine for engine in engines if engine[0].precision == "fp32"]
    if len(full) != 1:
        raise SystemExit(f"{folder} has {len(full)} OpenVINO engines of fp32: engines of one model are compared.")
    ((reference, reference_held, reference_test),) = full
    rows = []
    for manifest, held_out, test in engines:
        if manifest.precision == "fp32":
            continue
        shift = held_out - reference_held
        gave = calibration_rows(len(shift), manifest.calibrated_on)
        if len(gave):
            rows.append(_row(manifest.name, "held out, ranges were read", shift[gave]))
        rows.append(
            _row(manifest.name, "held out, none were read" if len(gave) else "held out", np.delete(shift, gave))
        )
        rows.append(_row(manifest.name, "good test pictures", test - reference_test))
    return {"spread": reference.acceptance.score_spread, "rows": rows, "device": describe_device()}


def _row(engine: str, pictures: str, shift: Scores) -> dict[str, Any]:
    return {
        "engine": engine,
        "pictures": pictures,
        "count": len(shift),
        "mean": float(shift.mean()),
        "deviation": float(shift.std()),
        "largest": float(np.abs(shift).max()),
    }


def markdown(name: str, result: dict[str, Any]) -> str:
    """The table."""
    lines = [
        f"# Scores of good parts at lower precision: {name}",
        "",
        device_line(result["device"]),
        "",
        f"Score less the fp32 engine's; the fp32 scores of the held-out pictures spread by {result['spread']:.4f}.",
        "",
        "| engine | pictures | count | mean shift | standard deviation | largest |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['engine']} | {row['pictures']} | {row['count']} | {row['mean']:+.4f} | {row['deviation']:.4f} "
        f"| {row['largest']:.4f} |"
        for row in result["rows"]
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Parse the command line, judge, write."""
    parser = parser_of("benchmarks.score_shift", __doc__)
    parser.add_argument("--workspace", type=Path, required=True, help="with fp32, fp16 and int8 engines of one model")
    parser.add_argument("--data", type=Path, required=True, help="the model's data set, with good test pictures")
    parser.add_argument("--name", required=True, help="of the result files")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    category = read_category(options.data)
    goods = replace(category, test=tuple(sample for sample in category.test if not sample.anomalous))
    result = shifts(options.workspace / "engines", goods)
    write_report(options.out / f"score-shift-{options.name}", result, markdown(options.name, result))


if __name__ == "__main__":
    as_program(main)
