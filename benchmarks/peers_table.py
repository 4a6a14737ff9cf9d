"""What peers.py found, as rows and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aand_edge.bench.device import device_line
from aand_edge.bench.latency import Latency
from benchmarks.turns import Player

REFERENCE = "anomalib reverse distillation"  # held to fp32
Row = dict[str, Any]


def row_of(player: Player, players: Sequence[Player], figures: Mapping[str, float | None] | None) -> Row:
    """A contender's figures; ratios are the reference's time over its own, round by round: above 1 it is faster."""
    whole = [ms for turn in player.turns for ms in turn.whole]
    latency = Latency.of(whole)
    reference = reference_of(players)
    assert reference is not None
    ratios = _medians(reference) / _medians(player)
    return {
        "name": player.name,
        "latency_ms": latency.to_dict(),
        "network_ms": float(np.median([ms for turn in player.turns for ms in turn.network])),
        "processor_ms": float(np.median([turn.processor for turn in player.turns])),
        "ratio": float(np.median(ratios)),
        "ratio_quartiles": [float(value) for value in np.percentile(ratios, [25, 75])],
        "processor_ratio": float(np.median(_processor(reference) / _processor(player))),
        "memory_mb": player.memory_mb,
        "start_s": player.start_s,
        "samples": len(whole),
        "accuracy": dict(figures) if figures else None,
    }


def reference_of(players: Sequence[Player]) -> Player | None:
    """Whose time ratios refer to; None where it does not take part."""
    return next((each for each in players if each.name.startswith(REFERENCE) and each.name.endswith("fp32")), None)


def _medians(player: Player) -> Any:
    return np.array([np.median(turn.whole) for turn in player.turns])


def _processor(player: Player) -> Any:
    return np.array([turn.processor for turn in player.turns])


def page(result: Mapping[str, Any]) -> str:
    """The result for a person to read."""
    rows: list[Row] = sorted(result["rows"], key=lambda row: float(row["processor_ms"]))
    lines = [
        f"# Our engines beside anomalib's: {result['backbone']}",
        "",
        f"From a decoded frame of 256×256 to score and map, batch 1, {result['threads']} threads, frames of "
        f"{result['category']}; {result['rounds']} rounds of turns in random order, {result['runs']} timed runs a "
        f"turn, {rows[0]['samples']} in all. Load average {result['load'][0]:.1f} before the first turn and "
        f"{result['load'][1]:.1f} after the last, the contenders' own work included.",
        "",
        "| | p50 ms | p95 | p99 | network alone | processor ms | ratio (quartiles) | by processor | MiB | start s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(_line(row) for row in rows),
        "",
        f"- ratio: how often the time of {REFERENCE}, fp32, holds its own; median over the rounds, each with its own "
        "noise. By processor time: the same of the time that all threads together were at work, which other people's "
        "load moves less.",
        "- network alone: without what anomalib's inferencer does before and behind it; ours has the frame's "
        "normalisation and the map's blur in its graph.",
        "- MiB: peak growth of a fresh process until its first answer; start: from its start to that answer.",
        *_notes(rows, result),
        *_accuracy(rows),
        "",
        f"anomalib {result['anomalib']['version']} with openvino {result['anomalib']['openvino']}. "
        + device_line(result["device"]),
    ]
    return "\n".join(lines) + "\n"


def _notes(rows: Sequence[Row], result: Mapping[str, Any]) -> list[str]:
    """A line on each participant that needs one; whoever did not take part is not spoken of."""
    names = [str(row["name"]) for row in rows]
    theirs = [name for name in names if name.startswith("anomalib")]
    notes = []
    if any(name.endswith(" fp32") for name in theirs):
        notes.append("- anomalib's fp32: held to float32.")
    if any(name.endswith(" as it comes") for name in theirs):
        notes.append(
            "- as it comes: what its inferencer leaves OpenVINO to choose, bfloat16 where the processor has it."
        )
    if any(name.endswith(" int8") for name in theirs):
        notes.append("- anomalib's int8: its own post-training quantisation by NNCF.")
    if any(name.startswith("AAND") for name in names) and result["backbone"] == "wide_resnet50_2":
        notes.append(
            "- AAND does a third more work than reverse distillation: 40.8 against 30.4 billion multiply-adds."
        )
    for peer, note in result["anomalib"]["peers"].items():
        if not peer.endswith("int8") and any(name.startswith(peer) for name in theirs):
            notes.append(f"- {peer}: {note}.")
    if any(name.startswith(("AAND", "our ")) for name in names):
        notes.append(f"- ours: {'trained' if result['trained'] else 'untrained, random weights'}.")
    return notes


def _line(row: Row) -> str:
    latency = row["latency_ms"]
    low, high = row["ratio_quartiles"]
    cells = [
        row["name"],
        *(f"{latency[name]:.1f}" for name in ("p50", "p95", "p99")),
        f"{row['network_ms']:.1f}",
        f"{row['processor_ms']:.1f}",
        f"{row['ratio']:.2f} ({low:.2f}–{high:.2f})",
        f"{row['processor_ratio']:.2f}",
        f"{row['memory_mb']:.0f}",
        f"{row['start_s']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _accuracy(rows: Sequence[Row]) -> list[str]:
    """A table of the figures, or a sentence."""
    if not any(row["accuracy"] for row in rows):
        return ["- accuracy: not measured; it takes --model and --weights."]
    lines = ["", "| | image AUROC | pixel AUROC | AUPRO |", "|---|---:|---:|---:|"]
    for row in rows:
        values = [row["accuracy"][name] for name in ("image_auroc", "pixel_auroc", "aupro")]
        lines.append(
            f"| {row['name']} | " + " | ".join("–" if value is None else f"{value:.4f}" for value in values) + " |"
        )
    return lines
