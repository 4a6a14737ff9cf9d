"""How well the gate of a trained model separates real defects, and what the map is worth without it.

    python -m benchmarks.accuracy --data DIR … --keep                # leaves the models of each seed
    python -m benchmarks.gate --data DIR --name screw-resnet18 benchmarks/work/accuracy/models/screw-resnet18-aand-*

Stage one sees synthetic anomalies alone. Here the gate w meets the test split: its mean on defective patches and on all
others, and how well it ranks them. Then the map is made again with the gate scaled, and with the vanilla F in the
bottleneck or in the map; the student stays as it was trained, so these say what the gate does at the line and not what
training without it would give. Read with test labels: it explains, and chooses nothing for a run. Writes
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
from sklearn.metrics import roc_auc_score
from torch import Tensor

from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Sample, read_category
from aand_edge.data.synthesis import patch_mask
from aand_edge.evaluation.metrics import evaluate
from aand_edge.model.aand import Aand, anomaly_map, as_features, blur
from aand_edge.model.backbones import Features
from aand_edge.training.checkpoint import load_model
from aand_edge.training.loop import in_chunks
from aand_edge.training.pictures import load_pictures
from benchmarks.report import add_out, as_program, parser_of, write_report
from benchmarks.scores import BATCH, FIGURES, spread
from benchmarks.split import Masks, drawn_masks

FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0)  # that the gate is multiplied by
SEPARATION = ("on_defects", "elsewhere", "patch_auroc")


Branches = list[tuple[Tensor, Tensor, Tensor]]  # of each level: F and Δ (N, C_k, H_k, W_k), w (N, 1, H_k, W_k)


def branches(model: Aand, features: Features) -> Branches:
    """F, Δ and w of each level of F."""
    return [(level, raa.residual(level), raa.gate(level)) for raa, level in zip(model.raas(), features, strict=True)]


def advanced_by(factor: float, amplified: Branches) -> Features:
    """F_A with the gate multiplied by `factor`, at most 1 in all."""
    return as_features(level + (factor * gate).clamp_max(1) * residual for level, residual, gate in amplified)


def variants(model: Aand, amplified: Branches) -> Iterator[tuple[str, Tensor]]:
    """Name and maps (N, S, S), blurred, of each use of the gate; `gate × 1` is the model's own."""

    def made(target: Features, embedded: Features) -> Tensor:
        return blur(anomaly_map(target, model.restore(embedded), model.size, model.level_weights))

    for factor in FACTORS:
        advanced = advanced_by(factor, amplified)
        yield f"gate × {factor:g}", made(advanced, advanced)
    features, advanced = advanced_by(0, amplified), advanced_by(1, amplified)
    yield "F to the bottleneck, F_A in the map", made(advanced, features)
    yield "F_A to the bottleneck, F in the map", made(features, advanced)


def separation(gate: Tensor, masks: Masks) -> dict[str, float | None]:
    """Of one level's w (N, 1, H, W): its mean on defective patches and elsewhere, and the AUROC of all patches.

    A patch is defective where more than 0.3 of it is, as in stage one. None where no patch of this level is.
    Pictures without a mask do not count.
    """
    drawn = {row: mask for row, mask in enumerate(masks) if mask is not None}
    if not any(mask.any() for mask in drawn.values()):
        return dict.fromkeys(SEPARATION)
    pixels = torch.from_numpy(np.stack([*drawn.values()]))[:, None]
    defective = patch_mask(pixels, gate.shape[-1]).flatten().bool().numpy()
    values = gate[[*drawn]].flatten().numpy()
    there = bool(defective.any())
    return {
        "on_defects": float(values[defective].mean()) if there else None,
        "elsewhere": float(values[~defective].mean()),
        "patch_auroc": float(roc_auc_score(defective, values)) if there else None,
    }


def judged(model: Aand, samples: Sequence[Sample], masks: Masks) -> dict[str, Any]:
    """Separation of each level's gate, and the metrics of each variant."""
    pictures = load_pictures(samples, model.size).float()
    weights: list[list[Tensor]] = [[], [], []]
    maps: dict[str, list[Tensor]] = defaultdict(list)
    with torch.inference_mode():
        for rows in in_chunks(len(pictures), BATCH):
            amplified = branches(model, model.teacher(pictures[rows]))
            for level, (_, _, gate) in enumerate(amplified):
                weights[level].append(gate)
            for name, found in variants(model, amplified):
                maps[name].append(found)
    anomalous = np.array([sample.anomalous for sample in samples])
    figures = {}
    for name, parts in maps.items():
        whole = torch.cat(parts).numpy()
        figures[name] = evaluate(whole.max(axis=(1, 2)), anomalous, whole, masks).to_dict()
    return {"levels": [separation(torch.cat(level), masks) for level in weights], "variants": figures}


def markdown(name: str, device: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    """Both tables: means over the models, and the figures' standard deviation."""
    recipe, seeds = models[0]["recipe"], ", ".join(str(model["seed"]) for model in models)
    lines = [
        f"# What the gate separates: {name}",
        "",
        f"{device_line(device)}.",
        "",
        f"{recipe['epochs_amplify']} + {recipe['epochs_distill']} epochs, batch {recipe['batch']}; seeds {seeds}. "
        "Read with test labels: it chooses nothing for a run.",
        "",
        "| level | gate on defective patches | elsewhere | patch AUROC of the gate |",
        "|---|---|---|---|",
    ]
    for level in range(3):
        cells = (_mean([model["levels"][level][key] for model in models]) for key in SEPARATION)
        lines.append(f"| {level + 1} | " + " | ".join(cells) + " |")
    lines += ["", "| map | " + " | ".join(FIGURES.values()) + " |", "|---" * (1 + len(FIGURES)) + "|"]
    for variant in models[0]["variants"]:
        rows = [model["variants"][variant] for model in models]
        lines.append(f"| {variant} | " + " | ".join(spread([row[key] for row in rows]) for key in FIGURES) + " |")
    return "\n".join(lines) + "\n"


def _mean(figures: Sequence[float | None]) -> str:
    """Their mean; empty where a level has no defective patch."""
    known = [each for each in figures if each is not None]
    return f"{mean(known):.2f}" if known else ""


def of(folder: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """What was found of a model, with its seed and schedule. Ends the program where it has no gate."""
    model, card = load_model(folder)
    if not model.raas():
        raise SystemExit(f"{folder} is reverse distillation, which has no gate: name models trained with --amplify.")
    return {"seed": card.seed, "recipe": card.recipe, **judged(model, samples, drawn_masks(samples, model.size))}


def main() -> None:
    """Look at every model, and write the tables."""
    parser = parser_of("benchmarks.gate", __doc__)
    parser.add_argument("models", type=Path, nargs="+", help="folders of trained models, one a seed")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the results")
    add_out(parser, "gate-NAME")
    options = parser.parse_args()
    samples = read_category(options.data).test
    found = [of(folder, samples) for folder in options.models]
    device = describe_device()
    out = options.out.with_name(options.out.name.replace("NAME", options.name))
    write_report(out, {"device": device, "models": found}, markdown(options.name, device, found))


if __name__ == "__main__":
    as_program(main)
