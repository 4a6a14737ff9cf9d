"""What the gate of a trained model knows of real defects, and what it is worth to the map.

    python -m benchmarks.accuracy --data DIR … --keep                # leaves the models of each seed
    python -m benchmarks.gate --data DIR --name screw-resnet18 benchmarks/work/accuracy/models/screw-resnet18-aand-*

Stage one sees synthetic anomalies alone. Here the gate w meets the test split: its mean on defective patches and on all
others, and how well it ranks them. Then the map is made again with the gate shut and turned up, and with the vanilla F
in the bottleneck or in the map. Read with test labels: it explains, and chooses nothing for a run. Writes
results/gate-NAME.json and .md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Sample, read_category
from aand_edge.data.masks import sample_mask
from aand_edge.data.pictures import read_picture
from aand_edge.data.synthesis import patch_mask
from aand_edge.errors import UsageError
from aand_edge.evaluation.metrics import evaluate
from aand_edge.model.aand import Aand, anomaly_map, as_features, blur
from aand_edge.model.backbones import Features
from aand_edge.training.checkpoint import load_model
from aand_edge.training.loop import in_chunks
from aand_edge.training.pictures import load_pictures
from benchmarks.report import add_out, parser_of, write_report

BATCH = 8
OPENINGS = (0.0, 0.5, 1.0, 1.5, 2.0)  # what the gate is multiplied by; no higher than 1 in all
KNOWN = ("on_defects", "elsewhere", "patch_auroc")
FIGURES = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}

Masks = Sequence[NDArray[np.bool_] | None]


def gates(model: Aand, features: Features) -> list[Tensor]:
    """w of each level, (N, 1, H_k, W_k)."""
    return [raa.gate(level) for raa, level in zip(model.raas(), features, strict=True)]


def opened(model: Aand, features: Features, factor: float) -> Features:
    """F_A with the gate multiplied by `factor`, at most 1."""
    levels = zip(model.raas(), features, gates(model, features), strict=True)
    return as_features(level + (factor * gate).clamp_max(1) * raa.residual(level) for raa, level, gate in levels)


def ways(model: Aand, features: Features) -> Iterator[tuple[str, Tensor]]:
    """Name and maps (N, S, S), blurred, of each way to use the gate; `gate × 1` is the model's own."""

    def made(target: Features, embedded: Features) -> Tensor:
        return blur(anomaly_map(target, model.restore(embedded), model.size, model.level_weights))

    for factor in OPENINGS:
        advanced = opened(model, features, factor)
        yield f"gate × {factor:g}", made(advanced, advanced)
    advanced = opened(model, features, 1.0)
    yield "F to the bottleneck, F_A in the map", made(advanced, features)
    yield "F_A to the bottleneck, F in the map", made(features, advanced)


def knowledge(gate: Tensor, masks: Masks) -> dict[str, float | None]:
    """Of one level's w (N, 1, H, W): its mean on defective patches and on the others, and the AUROC of all patches.

    None where the defects are too small for a patch of this level.
    """
    side = gate.shape[-1]
    known = [row for row, mask in enumerate(masks) if mask is not None]
    drawn = torch.from_numpy(np.stack([mask for mask in masks if mask is not None]))[:, None]
    defect = patch_mask(drawn, side).flatten().numpy() > 0.5
    values = gate[known].flatten().numpy()
    there = bool(defect.any())
    return {
        "on_defects": float(values[defect].mean()) if there else None,
        "elsewhere": float(values[~defect].mean()),
        "patch_auroc": float(roc_auc_score(defect, values)) if there else None,
    }


def judged(model: Aand, samples: Sequence[Sample], masks: Masks) -> dict[str, Any]:
    """What each level's gate knows, and the accuracy of each way."""
    pictures = load_pictures(samples, model.size).float()
    weights: list[list[Tensor]] = [[], [], []]
    maps: dict[str, list[Tensor]] = defaultdict(list)
    with torch.inference_mode():
        for rows in in_chunks(len(pictures), BATCH):
            features = model.teacher(pictures[rows])
            for level, gate in enumerate(gates(model, features)):
                weights[level].append(gate)
            for name, found in ways(model, features):
                maps[name].append(found)
    anomalous = np.array([sample.anomalous for sample in samples])
    figures = {}
    for name, parts in maps.items():
        whole = torch.cat(parts).numpy()
        figures[name] = evaluate(whole.max(axis=(1, 2)), anomalous, whole, masks).to_dict()
    return {"levels": [knowledge(torch.cat(level), masks) for level in weights], "ways": figures}


def markdown(name: str, device: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    """Both tables, means over the models."""
    lines = [
        f"# What the gate knows: {name}",
        "",
        f"{device_line(device)}. Means of {len(models)} models (seeds). Read with test labels: it chooses nothing.",
        "",
        "| level | gate on defective patches | on the others | patch AUROC of the gate |",
        "|---|---|---|---|",
    ]
    for level in range(3):
        cells = (_mean([model["levels"][level][key] for model in models]) for key in KNOWN)
        lines.append(f"| {level + 1} | " + " | ".join(cells) + " |")
    lines += ["", "| map | " + " | ".join(FIGURES.values()) + " |", "|---" * (1 + len(FIGURES)) + "|"]
    for way in models[0]["ways"]:
        rows = [model["ways"][way] for model in models]
        lines.append(f"| {way} | " + " | ".join(_mean([row[key] for row in rows], "{:.1%}") for key in FIGURES) + " |")
    return "\n".join(lines) + "\n"


def _mean(figures: Sequence[float | None], shown: str = "{:.2f}") -> str:
    """Their mean; empty where the pictures define no such figure."""
    known = [each for each in figures if each is not None]
    return shown.format(mean(known)) if known else ""


def main() -> None:
    """Look at every model, and write the tables."""
    parser = parser_of("benchmarks.gate", __doc__)
    parser.add_argument("models", type=Path, nargs="+", help="folders of trained models, one a seed")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the results")
    add_out(parser, "gate-NAME")
    options = parser.parse_args()
    models = [load_model(folder)[0].eval() for folder in options.models]
    if not all(model.raas() for model in models):
        raise UsageError("Reverse distillation has no gate", "Name models that were trained with --amplify.")
    samples, shape = read_category(options.data).test, (models[0].size,) * 2
    masks = [sample_mask(sample, read_picture(sample.path).shape[:2], shape) for sample in samples]
    found = [judged(model, samples, masks) for model in models]
    device = describe_device()
    out = options.out.with_name(options.out.name.replace("NAME", options.name))
    write_report(out, {"device": device, "models": found}, markdown(options.name, device, found))


if __name__ == "__main__":
    main()
