"""The committed floors are those of the graphs that this code writes: what was counted once must not go stale."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import REPOSITORY, RESULTS
from benchmarks.roofline import rooflines

AGAIN = "run `python -m benchmarks.roofline`, then bring the table of docs/roofline.md up to date"
SHOWN = {  # by the table of docs/roofline.md, in its order
    "Orin Nano 8GB (MAXN SUPER)": "Jetson Orin Nano 8GB",
    "Orin NX 16GB (MAXN SUPER)": "Jetson Orin NX 16GB",
    "AGX Orin 64GB": "Jetson AGX Orin 64GB",
    "T4": "T4",
    "L4": "L4",
    "RTX 4060": "RTX 4060",
}


@pytest.fixture(scope="module")
def committed() -> dict[str, dict[str, Any]]:
    """By the graph's name."""
    told = json.loads((RESULTS / "roofline.json").read_text(encoding="utf-8"))
    return {each["graph"]: each for each in told["graphs"]}


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
def test_the_committed_counts_are_those_of_the_graphs(
    committed: dict[str, dict[str, Any]], backbone: str, tmp_path: Path
) -> None:
    for found in rooflines(backbone, 256, tmp_path):
        wanted, told = committed[found.graph], found.to_dict()
        for figure in ("gmac", "weights_mb", "moved_mb", "layers"):
            assert told[figure] == pytest.approx(wanted[figure], rel=1e-6), f"{found.graph}: {figure}; {AGAIN}"
        for floor, known in zip(told["floors"], wanted["floors"], strict=True):
            chip, *figures = known.values()
            assert list(floor.values()) == [chip, *(pytest.approx(each, rel=1e-6) for each in figures)], (
                f"{found.graph} on {chip}; {AGAIN}"
            )


def test_the_table_of_the_documents_is_the_committed_one(committed: dict[str, dict[str, Any]]) -> None:
    text = (REPOSITORY / "docs/roofline.md").read_text(encoding="utf-8")
    assert f"| | {' | '.join(SHOWN)} |" in text
    rows = re.findall(r"^\| `(\w+)` (fp16|int8) \| (.+) \|$", text, re.M)
    assert len(rows) == 6
    for backbone, precision, cells in rows:
        floors = {each["chip"]: each for each in committed[f"{backbone}.{precision}.onnx"]["floors"]}
        wanted = [f"{floors[chip]['layers_ms']:.2f} / {floors[chip]['fused_ms']:.2f}" for chip in SHOWN.values()]
        assert cells.split(" | ") == wanted, f"{backbone} {precision}"
