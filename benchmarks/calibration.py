"""What an int8 engine loses, against how its ranges were read: method, pictures, synthetic anomalies, regions.

    python -m benchmarks.calibration --model models/screw --data DIR --name screw-resnet18

Every row is an OpenVINO engine built and judged on the same test pictures, in one run; drops are against the fp32
engine of that run. Writes results/calibration-NAME.json and .md. The test pictures choose nothing here: they show what
a default that was chosen by reason is worth.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import read_category
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.registry import find_backend
from aand_edge.export.calibrate import CalibrationOptions, calibrate
from aand_edge.export.export import ExportOptions, export_model
from aand_edge.export.regions import QUANTISABLE, default_regions
from aand_edge.export.trials import Trials, labelled_set
from aand_edge.graph_facts import GraphFacts
from aand_edge.holdout import HoldoutSet
from benchmarks import RESULTS
from benchmarks.report import as_program, parser_of, write_report

DEFAULT = CalibrationOptions()
FALSE_REJECTS = 0.01


def variants(
    most: int, regions: tuple[str, ...]
) -> Iterator[tuple[str, CalibrationOptions, tuple[str, ...], int | None]]:
    """(what is told of it, calibration, regions, bits of the weights), the default first."""
    yield "default", DEFAULT, regions, None
    for method in ("minmax", "entropy", "mse"):
        yield method, CalibrationOptions(method), regions, None
    for share in (99.9, 99.99):
        yield f"percentile {share}", CalibrationOptions(share=share), regions, None
    for images in (1, 2, 4, 8, 32):
        if images <= most:
            yield f"{images} pictures", CalibrationOptions(images=images), regions, None
    for images in (1, 4):
        yield f"minmax, {images} pictures", CalibrationOptions("minmax", images=images), regions, None
    yield "with anomalies", CalibrationOptions(anomalies=True), regions, None
    yield "percentile 99.99, with anomalies", CalibrationOptions(share=99.99, anomalies=True), regions, None
    yield "minmax, with anomalies", CalibrationOptions("minmax", anomalies=True), regions, None
    for bits in (7, 8):
        yield f"{bits}-bit weights", DEFAULT, regions, bits
    for region in QUANTISABLE:
        if region not in regions:
            yield f"and {region}", DEFAULT, (*regions, region), None
    if "upsample" in regions:
        yield "without upsample", DEFAULT, tuple(region for region in regions if region != "upsample"), None


def measure(model: Path, data: Path) -> dict[str, Any]:
    """All rows, as plain values."""
    backend = find_backend("openvino")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / model.name
        shutil.copytree(model, folder)
        fp32, fp16 = (export_model(folder, ExportOptions(precision)) for precision in ("fp32", "fp16"))
        facts = GraphFacts.from_graph(fp32.graph)
        judged = labelled_set(read_category(data), facts)
        trials = Trials(backend, BuildOptions("int8"), fp16.graph, judged, FALSE_REJECTS, Path(name))
        reference = trials.reference(fp32.graph)
        chosen = default_regions(facts.backbone)
        rows: list[dict[str, Any]] = []
        for told, options, regions, bits in variants(len(HoldoutSet.read(fp32.holdout).frames), chosen):
            table = calibrate(fp32.graph, fp32.holdout, Path(name) / "table.json", options)
            measured = trials.measure(regions, table, bits)
            figures = measured.model_dump(exclude={"latency_ms"})  # `bench` times engines, in turns
            rows.append({"variant": told, **figures, "drop": measured.drop(reference)})
            print(f"{told}: drop {rows[-1]['drop']:.2f}", flush=True)
        return {
            "model": model.name,
            "backbone": facts.backbone,
            "pictures": judged.description,
            "weight_bits": backend.int8_weight_bits(),
            "device": describe_device(),
            "reference": reference.model_dump(exclude={"latency_ms"}),
            "rows": rows,
        }


def markdown(result: dict[str, Any]) -> str:
    """The table, drops in points."""
    reference = result["reference"]
    lines = [
        f"# Calibration of {result['model']} ({result['backbone']})",
        "",
        device_line(result["device"]),
        "",
        f"Judged on {result['pictures']}; int8 weights of {result['weight_bits']} bits. fp32: image AUROC "
        f"{reference['image_auroc']:.4f}, AUPRO {reference['aupro']:.4f}.",
        "",
        "| calibration | image AUROC | AUPRO | drop, points | flips | map error |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['variant']} | {row['image_auroc']:.4f} | {row['aupro']:.4f} | {row['drop']:.2f} | "
            f"{100 * row['flips']:.1f} % | {row['map_error']:.1e} |"
        )
    default = f"{DEFAULT.method} {DEFAULT.share}, {DEFAULT.images} held-out good pictures"
    return "\n".join([*lines, "", f"The default is {default}; each row changes what it names.", ""])


def main() -> None:
    """Parse the command line, measure, write."""
    parser = parser_of("benchmarks.calibration", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("--data", type=Path, required=True, help="its data set, with labelled test pictures")
    parser.add_argument("--name", required=True, help="of the result files")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    result = measure(options.model, options.data)
    write_report(options.out / f"calibration-{options.name}", result, markdown(result))


if __name__ == "__main__":
    as_program(main)
