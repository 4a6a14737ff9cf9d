"""Other ways to make one score of a picture's distances: image AUROC of each, for a trained model.

    python benchmarks/scores.py models/screw-resnet18 --data DIR

The paper's score is the maximum of the blurred map. This reads test labels, so it chooses nothing: a default may change
where another score wins on every data set over several seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aand_edge.data.layouts import Sample, read_category
from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import resize
from aand_edge.evaluation.metrics import evaluate
from aand_edge.model.aand import Aand, blur, cosine_distance
from aand_edge.training.checkpoint import load_model

LARGEST = (1, 100, 500, 2000)  # values of a map of 256 × 256
BATCH = 8


def levels(model: Aand, samples: list[Sample]) -> tuple[list[Tensor], list[Tensor]]:
    """1 − cos and the gate of each level, up-sampled: three tensors (N, S, S) each; no gates without amplifiers."""
    distances: list[list[Tensor]] = [[], [], []]
    gates: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(samples), BATCH):
        frames = [resize(read_picture(each.path), model.size, model.size) for each in samples[start : start + BATCH]]
        pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
        vanilla, advanced = model.teacher(pictures), model.advanced(pictures)
        for level, (a, s) in enumerate(zip(advanced, model.restore(advanced), strict=True)):
            distances[level].append(up(cosine_distance(a, s), model.size))
        for level, raa in enumerate(model.raas()):
            gates[level].append(up(raa.gate(vanilla[level])[:, 0], model.size))
    return [torch.cat(each) for each in distances], [torch.cat(each) for each in gates if each]


def up(maps: Tensor, size: int) -> Tensor:
    """(N, H, W) → (N, size, size), as the map is made."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=True)[:, 0]


def ways(distances: list[Tensor], gates: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Name and scores (N,) of each way, the paper's first."""
    whole = blur(torch.stack(distances).sum(dim=0))
    for count in LARGEST:
        name = "maximum" if count == 1 else f"mean of the {count} largest"
        yield name, whole.flatten(1).topk(count, dim=1).values.mean(dim=1)
    for left in range(3):
        rest = [each for level, each in enumerate(distances) if level != left]
        yield f"maximum, without level {left + 1}", blur(torch.stack(rest).sum(dim=0)).flatten(1).amax(dim=1)
    if gates:
        weighted = torch.stack([d * w for d, w in zip(distances, gates, strict=True)]).sum(dim=0)
        yield "maximum, each level weighted by its gate", blur(weighted).flatten(1).amax(dim=1)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    samples = list(read_category(options.data).test)
    anomalous = np.array([sample.anomalous for sample in samples])
    with torch.inference_mode():
        distances, gates = levels(load_model(options.model)[0].eval(), samples)
        print("| score | image AUROC |\n|---|---|")
        for name, scores in ways(distances, gates):
            figure = evaluate(scores.numpy(), anomalous, None, [None] * len(samples)).image_auroc
            print(f"| {name} | {figure:.3f} |")


if __name__ == "__main__":
    main()
