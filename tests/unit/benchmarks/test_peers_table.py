"""The page of peers.py speaks of those who took part, and of nobody else."""

from __future__ import annotations

from typing import Any

from benchmarks.peers_table import page

PEERS = {
    "anomalib reverse distillation resnet18": "trained on 16 pictures for 1 epochs",
    "anomalib reverse distillation resnet18 int8": "trained on 16 pictures for 1 epochs",
    "anomalib PatchCore resnet18": "3277 of 16384 patches in its memory",
    "anomalib PaDiM resnet18": "fitted to 16 pictures",
}


def shown(*names: str, backbone: str = "resnet18", accuracy: dict[str, float | None] | None = None) -> str:
    """The page of a measurement that these took part in."""
    figures = dict.fromkeys(("network_ms", "processor_ms", "ratio", "processor_ratio", "memory_mb", "start_s"), 1.0)
    latency = {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    row: dict[str, Any] = {**figures, "latency_ms": latency, "ratio_quartiles": [1, 1], "samples": 2}
    return page(
        {
            "rows": [{**row, "name": name, "accuracy": accuracy} for name in names],
            "backbone": backbone,
            "category": "screw",
            "trained": True,
            **dict.fromkeys(("threads", "rounds", "runs"), 1),
            "load": [0.0, 0.0],
            "device": {},
            "anomalib": {
                "version": "2.7.0",
                "openvino": "2026.4",
                "peers": PEERS,
            },
        }
    )


def notes(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("- "))


def test_who_did_not_take_part_is_not_spoken_of() -> None:
    told = notes(shown("AAND fp32", "anomalib reverse distillation resnet18 fp32"))
    assert "PatchCore" not in told
    assert "PaDiM" not in told
    assert "NNCF" not in told
    assert "as it comes" not in told
    assert "third more work" not in told  # that is wide_resnet50_2's
    assert "- anomalib reverse distillation resnet18: trained on 16 pictures for 1 epochs." in told
    assert "- ours: trained." in told


def test_each_participant_has_its_note() -> None:
    names = [
        "AAND int8",
        "anomalib reverse distillation resnet18 fp32",
        "anomalib reverse distillation resnet18 as it comes",
        "anomalib reverse distillation resnet18 int8",
        "anomalib PatchCore resnet18 as it comes",
    ]
    told = notes(shown(*names, backbone="wide_resnet50_2"))
    for word in ("PatchCore resnet18: 3277 of", "NNCF", "- as it comes", "third more work"):
        assert word in told
    assert "PaDiM" not in told
    assert told.count("- anomalib reverse distillation resnet18: trained") == 1


def test_accuracy_is_shown_where_it_was_measured() -> None:
    reference = "anomalib reverse distillation resnet18 fp32"
    figures: dict[str, float | None] = {"image_auroc": 0.9, "pixel_auroc": 0.98765, "aupro": None}
    assert f"| {reference} | 0.9000 | 0.9877 | – |" in shown(reference, accuracy=figures)
    assert "accuracy: not measured" in shown(reference)
