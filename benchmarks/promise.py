"""Whether the threshold keeps its promise: good parts that are rejected, against the share that it promises at most.

    python -m benchmarks.promise --data DIR --name screw-resnet18 MODEL…          models of several seeds

Each model's threshold comes from the good pictures that it held out, as in training, and judges the good pictures of
the test split, which were taken apart from them: here the promise can fail. How likely so many rejects or more are
where all good parts are alike, is told beside them (beta-binomial: one draw of n held-out scores rejects Beta(1, n)
on average 1 / (n + 1)).

Standardised weights come from the pictures that set the threshold, which could spoil its promise even where parts are
alike. That is tried apart: all these good pictures are parted anew and anew; some give weights and threshold, the
others are judged. With equal weights such splits keep the promise by construction, and are not shown.
Writes results/promise-NAME.json and .md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import betabinom
from torch import Tensor

from aand_edge.artifacts import ModelCard, write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import Sample, read_category
from aand_edge.evaluation.threshold import conformal_threshold
from aand_edge.model.aand import EQUAL, Aand, LevelWeights
from aand_edge.training.checkpoint import load_model
from aand_edge.training.levels import even_weights
from benchmarks.report import as_program
from benchmarks.scores import added, look

RESULTS = Path(__file__).resolve().parent / "results"
SPLITS = 400
HELD_OUT = (4, 9, 19, 32)
RATE = 0.01


class Good:
    """Distances of good pictures that nobody trained on, and the scores that weights make of them."""

    def __init__(self, levels: list[Tensor], size: int) -> None:
        self.levels = levels
        self.maps = [added([level], size) for level in levels]

    def __len__(self) -> int:
        return len(self.maps[0])

    def scores(self, weights: LevelWeights) -> NDArray[np.float32]:
        """(N,) of the map with these weights."""
        first, second, third = (weight * each for weight, each in zip(weights, self.maps, strict=True))
        return (first + second + third).flatten(1).amax(dim=1).numpy()

    def standardised(self, rows: NDArray[np.int64]) -> LevelWeights:
        """The weights that these pictures give."""
        return even_weights([level[rows] for level in self.levels], "standardised")


@dataclass(frozen=True)
class Kept:
    """What one model's threshold did to good test pictures: `rejected` of `judged`.

    promised   share of them at most, on average over draws of the `held_out` pictures
    chance     of so many rejects or more where all good parts are alike
    """

    seed: int
    levels: str
    held_out: int
    promised: float
    judged: int
    rejected: int
    chance: float


@dataclass(frozen=True)
class Split:
    """Share of good parts rejected with standardised weights, over random splits; `error` is that of the mean."""

    held_out: int
    promised: float
    found: float
    error: float


def kept(seed: int, good: Good, held_out: int) -> Iterator[Kept]:
    """For both ways to weigh the levels. The first `held_out` of `good` set the threshold, the others are judged."""
    for levels in ("equal", "standardised"):
        scores = good.scores(EQUAL if levels == "equal" else good.standardised(np.arange(held_out)))
        threshold = conformal_threshold(scores[:held_out], RATE)
        promised = threshold.promised_false_rejects
        assert promised is not None
        judged, rejected = len(good) - held_out, int(threshold.rejects(scores[held_out:]).sum())
        above = round(promised * (held_out + 1))  # ranks of held-out scores from the threshold on
        chance = float(betabinom(judged, above, held_out + 1 - above).sf(rejected - 1))
        yield Kept(seed, levels, held_out, promised, judged, rejected, chance)


def splits(good: Good) -> Iterator[Split]:
    """Standardised weights and threshold from some pictures, the others judged, for every number held out."""
    rng = np.random.default_rng(0)
    for held_out in (count for count in HELD_OUT if 2 * count <= len(good)):
        rates, promised = [], 0.0
        for _ in range(SPLITS):
            first, rest = np.split(rng.permutation(len(good)), [held_out])
            scores = good.scores(good.standardised(first))
            threshold = conformal_threshold(scores[first], RATE)
            promised = threshold.promised_false_rejects or 0.0
            rates.append(threshold.rejects(scores[rest]).mean())
        yield Split(held_out, promised, float(np.mean(rates)), float(np.std(rates) / SPLITS**0.5))


def page(name: str, rows: Sequence[Kept], tried: Sequence[Split]) -> str:
    """Two tables."""
    lines = [
        f"# Good parts rejected, promised and found: {name}",
        "",
        f"{device_line(describe_device())}.",
        "",
        "Thresholds from each model's held-out good pictures, judged on the good pictures of the test split. Chance: "
        "of so many rejects or more where all good parts are alike.",
        "",
        "| seed | levels | held out | promised, at most | rejected | chance |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = f"{row.rejected} of {row.judged} ({100 * row.rejected / row.judged:.1f} %)"
        lines.append(
            f"| {row.seed} | {row.levels} | {row.held_out} | {100 * row.promised:.1f} % | {found} | {row.chance:.2f} |"
        )
    lines += [
        "",
        f"Standardised weights from the pictures that set the threshold: {SPLITS} random splits of all these pictures, "
        "the first model's scores; mean ± its standard error.",
        "",
        "| held out | promised, at most | found |",
        "|---|---|---|",
    ]
    for split in tried:
        found = f"{100 * split.found:.1f} ± {100 * split.error:.1f} %"
        lines.append(f"| {split.held_out} | {100 * split.promised:.1f} % | {found} |")
    return "\n".join(lines) + "\n"


def unseen(model: Aand, card: ModelCard, root: Path) -> tuple[Good, int]:
    """A model's held-out good pictures, then those of the test split; and how many were held out."""
    category = read_category(root)
    held_out: list[Sample] = [
        each for each in category.train if each.path.relative_to(category.root).as_posix() in card.holdout
    ]
    with torch.inference_mode():
        levels, _ = look(model, held_out + [each for each in category.test if not each.anomalous])
    return Good(levels, model.size), len(held_out)


def main() -> None:
    """Look at each model's good pictures once, judge, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="folders of trained models, one a seed")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the results")
    options = parser.parse_args()
    rows: list[Kept] = []
    tried: list[Split] = []
    for folder in options.models:
        model, card = load_model(folder)
        good, held_out = unseen(model, card, options.data)
        rows += kept(card.seed, good, held_out)
        tried = tried or list(splits(good))
    out = RESULTS / f"promise-{options.name}"
    found = {"rows": [asdict(row) for row in rows], "splits": [asdict(split) for split in tried]}
    write_json(out.with_suffix(".json"), {"device": describe_device(), **found})
    write_text(out.with_suffix(".md"), page(options.name, rows, tried))
    print(out.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    as_program(main)
