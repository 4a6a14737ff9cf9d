"""Whether the threshold keeps its promise: false rejects found against those promised, over random splits.

    python -m benchmarks.promise --data DIR --name screw-resnet18 MODEL

The good pictures that the model was not trained on, held out or of the test split, are parted anew and anew: some set
the threshold, the others are judged. Both ways to weigh the levels are asked, since standardised weights come from the
pictures that set the threshold too. Writes results/promise-NAME.json and .md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from aand_edge.data.layouts import read_category
from aand_edge.evaluation.threshold import conformal_threshold
from aand_edge.model.aand import EQUAL, LevelWeights
from aand_edge.training.checkpoint import load_model
from aand_edge.training.levels import even_weights
from benchmarks.scores import added, look

RESULTS = Path(__file__).resolve().parent / "results"
SPLITS = 2000
HELD_OUT = (4, 9, 19, 32)
RATE = 0.01


@dataclass(frozen=True)
class Kept:
    """Rates of false rejects for `held_out` pictures that set the threshold; `error` is that of the mean."""

    levels: str
    held_out: int
    promised: float
    found: float
    error: float


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
        return even_weights([level[rows] for level in self.levels])


def kept(good: Good) -> Iterator[Kept]:
    """What was promised and found, for every number of held-out pictures and both ways to weigh the levels."""
    rng = np.random.default_rng(0)
    equal = good.scores(EQUAL)
    for held_out in (count for count in HELD_OUT if 2 * count <= len(good)):
        splits = [np.split(rng.permutation(len(good)), [held_out]) for _ in range(SPLITS)]
        promised = conformal_threshold(equal[:held_out], RATE).promised_false_rejects
        assert promised is not None
        for levels in ("equal", "standardised"):
            rates = []
            for first, rest in splits:
                scores = equal if levels == "equal" else good.scores(good.standardised(first))
                rates.append(conformal_threshold(scores[first], RATE).rejects(scores[rest]).mean())
            yield Kept(levels, held_out, promised, float(np.mean(rates)), float(np.std(rates) / SPLITS**0.5))


def page(name: str, count: int, rows: list[Kept]) -> str:
    """A line a row."""
    lines = [
        f"# False rejects, promised and found: {name}",
        "",
        f"{device_line(describe_device())}. {count} good pictures that the model was not trained on, {SPLITS} random "
        "splits; found: mean over the splits ± its standard error.",
        "",
        "| held out | levels | promised, at most | found |",
        "|---|---|---|---|",
    ]
    for row in rows:
        found = f"{100 * row.found:.1f} ± {100 * row.error:.1f} %"
        lines.append(f"| {row.held_out} | {row.levels} | {100 * row.promised:.1f} % | {found} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Look at the good pictures once, part them often, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a trained model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the results")
    options = parser.parse_args()
    model, card = load_model(options.model)
    category = read_category(options.data)
    samples = [each for each in category.train if each.path.relative_to(category.root).as_posix() in card.holdout]
    samples += [each for each in category.test if not each.anomalous]
    with torch.inference_mode():
        good = Good(look(model, samples)[0], model.size)
        rows = list(kept(good))
    out = RESULTS / f"promise-{options.name}"
    write_json(out.with_suffix(".json"), {"device": describe_device(), "rows": [asdict(row) for row in rows]})
    write_text(out.with_suffix(".md"), page(options.name, len(samples), rows))
    print(out.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
