"""Other ways to put the levels' distances together: accuracy of each, for models that are trained.

    python -m benchmarks.accuracy --data DIR … --keep                # leaves the models of each seed
    python -m benchmarks.scores --data DIR --name screw-resnet18 benchmarks/work/accuracy/models/screw-resnet18-aand-*

The paper's map is the plain sum and its score the map's maximum. This reads test labels, so it chooses nothing within a
run; the default of `--levels` follows these tables, where a way is worse with no data set over three seeds. What a way
needs to know beyond the picture, it has from held-out good pictures. Writes results/scores-NAME.json and .md.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Sample, read_category
from aand_edge.evaluation.metrics import Metrics, evaluate
from aand_edge.model.aand import Aand, blur, cosine_distance
from aand_edge.training.checkpoint import load_model
from aand_edge.training.levels import even_weights
from aand_edge.training.loop import in_chunks
from aand_edge.training.pictures import load_pictures
from benchmarks.report import as_program
from benchmarks.split import Masks, drawn_masks

RESULTS = Path(__file__).resolve().parent / "results"
BATCH = 8
LARGEST = 500  # values of a map of 256 × 256
FIGURES = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}

Levels = list[Tensor]  # (N, H_k, W_k) of each level


def look(model: Aand, samples: Sequence[Sample]) -> tuple[Levels, Levels]:
    """1 − cos and the gate of each level; no gates without amplifiers."""
    distances: list[Levels] = [[], [], []]
    gates: list[Levels] = [[] for _ in model.raas()]
    pictures = load_pictures(samples, model.size).float()
    for rows in in_chunks(len(pictures), BATCH):
        vanilla = model.teacher(pictures[rows])
        advanced = model.amplify(vanilla)
        for level, (a, s) in enumerate(zip(advanced, model.restore(advanced), strict=True)):
            distances[level].append(cosine_distance(a, s))
        for level, raa in enumerate(model.raas()):
            gates[level].append(raa.gate(vanilla[level])[:, 0])
    return [torch.cat(each) for each in distances], [torch.cat(each) for each in gates]


def up(maps: Tensor, size: int) -> Tensor:
    """(N, H, W) → (N, size, size), as the map is made."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=True)[:, 0]


def ways(distances: Levels, gates: Levels, good: Levels, size: int) -> Iterator[tuple[str, Tensor, int]]:
    """Name, maps (N, size, size) and how many of the largest values the score is the mean of; the paper's first.

    good   distances of held-out good pictures
    """
    yield "sum", added(distances, size), 1
    yield f"sum, mean of the {LARGEST} largest", added(distances, size), LARGEST
    yield "without level 1", added(distances[1:], size), 1
    scaled = [weight * level for weight, level in zip(even_weights(good, "scaled"), distances, strict=True)]
    yield "each level over its mean on held-out good parts", added(scaled, size), 1
    even = [weight * level for weight, level in zip(even_weights(good, "standardised"), distances, strict=True)]
    yield "each level over its standard deviation there (`--levels standardised`)", added(even, size), 1
    if gates:
        yield "each level times its gate", added([d * w for d, w in zip(distances, gates, strict=True)], size), 1


def added(levels: Sequence[Tensor], size: int) -> Tensor:
    """The map (N, size, size) of levels: up-sampled, summed, blurred."""
    return blur(torch.stack([up(level, size) for level in levels]).sum(dim=0))


def judged(folder: Path, root: Path, masks: Masks) -> dict[str, Metrics]:
    """Metrics of each way, for a model."""
    model, card = load_model(folder)
    category = read_category(root)
    anomalous = np.array([sample.anomalous for sample in category.test])
    with torch.inference_mode():
        distances, gates = look(model, category.test)
        good, _ = look(model, [sample for sample in category.train if _name(sample, category.root) in card.holdout])
        return {
            name: evaluate(
                maps.flatten(1).topk(count, dim=1).values.mean(dim=1).numpy(), anomalous, maps.numpy(), masks
            )
            for name, maps, count in ways(distances, gates, good, model.size)
        }


def _name(sample: Sample, root: Path) -> str:
    return sample.path.relative_to(root).as_posix()


def page(name: str, found: dict[str, list[Metrics]]) -> str:
    """A line a way, mean ± standard deviation over the models."""
    count = len(next(iter(found.values())))
    lines = [
        f"# Ways to put the levels together: {name}",
        "",
        f"{device_line(describe_device())}. {count} models (seeds); mean ± standard deviation. Read with test labels: "
        "no run is chosen by it, and the default of `--levels` is.",
        "",
        "| map and score | " + " | ".join(FIGURES.values()) + " |",
        "|---" * (len(FIGURES) + 1) + "|",
    ]
    for way, metrics in found.items():
        rows = [each.to_dict() for each in metrics]
        lines.append(f"| {way} | " + " | ".join(spread([row[figure] for row in rows]) for figure in FIGURES) + " |")
    return "\n".join(lines) + "\n"


def spread(figures: Sequence[float | None]) -> str:
    """In per cent; empty where the pictures define no such figure."""
    values = [100 * each for each in figures if each is not None]
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "") if values else ""


def main() -> None:
    """Judge every way on every model, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="folders of trained models, one a seed")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the results")
    options = parser.parse_args()
    masks = drawn_masks(read_category(options.data).test, load_model(options.models[0])[0].size)
    found: dict[str, list[Metrics]] = defaultdict(list)
    for folder in options.models:
        for way, metrics in judged(folder, options.data, masks).items():
            found[way].append(metrics)
    out = RESULTS / f"scores-{options.name}"
    rows = {way: [each.to_dict() for each in metrics] for way, metrics in found.items()}
    write_json(out.with_suffix(".json"), {"device": describe_device(), "models": len(options.models), "ways": rows})
    write_text(out.with_suffix(".md"), page(options.name, found))
    print(out.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    as_program(main)
