"""The figures that the documents print are those of benchmarks/results, rounded as they are shown."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.conftest import REPOSITORY


def read(document: str) -> str:
    return (REPOSITORY / document).read_text(encoding="utf-8")


def section(document: str, heading: str) -> str:
    found = read(document).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert found, f"{document} has no section {heading}"
    return found


DOCUMENTS = "README.md", "benchmarks/README.md", "benchmarks/notes.md", "docs/int8.md", "docs/threshold.md"
TEXTS = {each: " ".join(read(each).split()) for each in DOCUMENTS}
SECTIONS = {
    "README.md": section("README.md", "What was measured"),
    "benchmarks/README.md": section("benchmarks/README.md", "What was found"),
    "docs/int8.md": read("docs/int8.md"),
    "docs/threshold.md": section("docs/threshold.md", "What the score is made of"),
}
ACCURACY = "image_auroc", "pixel_auroc", "aupro"

# A text that must stand in one of them, with the format of each figure in it, and where the figures are: FILE:PATH. In
# a path `field=value` chooses items of a list and `*` stands for any letters; what is found is averaged. `a ÷ b`
# divides, `a + b` adds.
Figure = tuple[str, list[str]]


def run_of(file: str, method: str) -> list[str]:
    """A mean over seeds of benchmarks.accuracy."""
    return [f"accuracy-{file}:rows/method={method}/{each}" for each in ACCURACY]


def engine(file: str, name: str, reference: str = "", whole: bool = False) -> list[str]:
    """A row of bench: P50, how much faster than `reference`, accuracy; the whole of it: verdicts and memory too."""
    here = f"{file}:engines/name={name}"
    faster = [f"{file}:engines/name={reference}/latency_ms/p50 ÷ {here}/latency_ms/p50"] if reference else []
    verdicts = (f"{here}/false_rejects", f"{file}:pictures/good", f"{here}/missed", f"{file}:pictures/anomalous")
    return [
        f"{here}/latency_ms/p50",
        *faster,
        *(f"{here}/{each}" for each in ACCURACY),
        *([*verdicts, f"{here}/memory_mb"] if whole else []),
    ]


def peer(name: str, *more: str) -> list[str]:
    return [f"peers-int8:rows/name={name}/{each}" for each in ("latency_ms/p50", *more)]


def precisions(file: str, rows: str, names: tuple[str, ...]) -> list[str]:
    """P50 in each precision."""
    return [f"{file}:{rows}/name={name}/latency_ms/p50" for name in names]


def rival(name: str) -> list[str]:
    """A row of the race of trained models."""
    here = f"peers-resnet18:rows/name={name}"
    return [f"{here}/{each}" for each in ("latency_ms/p50", "ratio", "accuracy/image_auroc", "accuracy/aupro")]


def levels(file: str) -> list[str]:
    """Image AUROC and AUPRO with each kind of level weights."""
    ways = "sum", "each level over its mean*", "each level over its standard deviation*"
    return [f"scores-{file}:ways/{way}/{each}" for way in ways for each in ("image_auroc", "aupro")]


COOKIE = "cookie-efficientnet_lite0"
EVEN = "ways/each level over its standard deviation*"
THREE = "{:.3f} / {:.3f} / {:.3f}"
LEVELS = " | ".join(["{:.3f} / {:.3f}"] * 3)
DEMO = "{:.3f} | {:.3f} | {:.3f} |"
SCREW = DEMO + " {:.0f} of {:.0f} | {:.0f} of {:.0f} | {:.0f} MiB |"
BARE = "{:.1f} | {:.1f} | {:.1f}"
FIGURES: list[Figure] = [
    *(
        (f"| {what} | {LEVELS} |", levels(file))
        for what, file in (
            ("screw, `resnet18`, 12 + 36 epochs, 3 seeds", "screw-resnet18"),
            ("screw, `resnet18`, the paper's schedule, one seed", "screw-resnet18-paper"),
            ("screw, `efficientnet_lite0`, short schedule, 3 seeds", "screw-efficientnet_lite0"),
            ("cookie, `efficientnet_lite0`, short schedule, 3 seeds", COOKIE),
            ("the rendered sample set, `efficientnet_lite0`, short schedule, 6 seeds", "sample-efficientnet_lite0"),
            ("cookie, `resnet18`, short schedule, 3 seeds", "cookie-resnet18"),
        )
    ),
    (
        f"| cookie (31 pictures), `efficientnet_lite0`, short schedule, equal levels | {THREE} | {THREE} | {THREE} |",
        [*run_of(COOKIE, "aand"), *run_of(COOKIE, "rd"), *run_of(COOKIE, "neighbour")],
    ),
    *(
        (
            f"| the same, standardised levels, its default | {THREE} | {THREE} | |",
            [f"scores-{data}-efficientnet_lite0{which}:{EVEN}/{each}" for which in ("", "-rd") for each in ACCURACY],
        )
        for data in ("cookie", "screw")
    ),
    (
        f"| cookie, `resnet18`, short schedule | {THREE} | {THREE} | {THREE} |",
        [each for method in ("aand", "rd", "neighbour") for each in run_of("cookie-resnet18", method)],
    ),
    (
        f"| screw, `resnet18`, short schedule | {THREE} | {THREE} | {THREE} |",
        [
            *run_of("screw-resnet18", "aand"),
            *run_of("screw-resnet18", "rd"),
            *run_of("screw-resnet18-neighbour", "neighbour"),
        ],
    ),
    (
        f"| screw (320), `efficientnet_lite0`, short schedule, equal levels | {THREE} | {THREE} | {THREE} (one seed) |",
        [each for method in ("aand", "rd", "neighbour") for each in run_of("screw-efficientnet_lite0", method)],
    ),
    (
        f"| screw, `resnet18`, three times as long (12 + 36 epochs) | {THREE} | {THREE} | |",
        [*run_of("screw-resnet18-36", "aand"), *run_of("screw-resnet18-36", "rd")],
    ),
    (
        f"| the same, standardised levels | {THREE} | {THREE} | |",
        [f"scores-screw-resnet18{which}:{EVEN}/{each}" for which in ("", "-rd") for each in ACCURACY],
    ),
    (
        f"| screw, `resnet18`, the paper's schedule, three seeds and two | {THREE} | {THREE} | |",
        [*run_of("screw-resnet18-paper", "aand"), *run_of("screw-resnet18-paper", "rd")],
    ),
    (
        f"| cookie, `efficientnet_lite0`, the paper's schedule (100 + 120 epochs), one seed | {THREE} | {THREE} | |",
        [*run_of(f"{COOKIE}-paper", "aand"), *run_of(f"{COOKIE}-paper", "rd")],
    ),
    (
        "an AUROC of {:.2f} to {:.2f}, and defective patches of screw with {:.2f} to {:.2f}",
        [
            *(f"gate-{COOKIE}:models/levels/{level}/patch_auroc" for level in (0, 2)),
            *(f"gate-screw-resnet18:models/levels/{level}/patch_auroc" for level in (2, 1)),
        ],
    ),
    (
        "reaches an AUPRO of {:.3f}, AAND without them {:.3f}, and AAND with the gate alone, without a learned "
        "residual, {:.3f}",
        [f"accuracy-{COOKIE}-ablations:rows/method={method}/aupro" for method in ("rd-hard", "aand-soft", "gate")],
    ),
    (f"| OpenVINO fp32 | {{:.1f}} ms | {{:.1f}}× as fast | {DEMO}", engine("demo", "*.fp32", "*.torch-eager")),
    (
        f"| OpenVINO fp16 (bfloat16 there, the map in float32) | {{:.1f}} ms | {{:.1f}}× | {DEMO}",
        engine("demo", "*.fp16", "*.torch-eager"),
    ),
    (f"| OpenVINO int8 | {{:.1f}} ms | {{:.1f}}× | {DEMO}", engine("demo", "*.int8", "*.torch-eager")),
    (f"| PyTorch eager | {{:.1f}} ms | | {DEMO}", engine("demo", "*.torch-eager")),
    (
        f"| OpenVINO fp32 | {{:.1f}} ms | {{:.1f}}× as fast | {SCREW}",
        engine("screw-resnet18", "*.fp32", "*.torch-eager", whole=True),
    ),
    (
        f"| OpenVINO fp16 (runs in bfloat16 there, the map in float32) | {{:.1f}} ms | {{:.1f}}× | {SCREW}",
        engine("screw-resnet18", "*.fp16", "*.torch-eager", whole=True),
    ),
    (
        f"| OpenVINO int8 | {{:.1f}} ms | {{:.1f}}× | {SCREW}",
        engine("screw-resnet18", "*.int8", "*.torch-eager", whole=True),
    ),
    (f"| PyTorch eager | {{:.1f}} ms | | {SCREW}", engine("screw-resnet18", "*.torch-eager", whole=True)),
    (
        "int8 is **{:.1f} times as fast as fp32** in the steadier run of the plot below, and was {:.1f} times",
        [
            "screw-pareto:engines/name=*18*.fp32/latency_ms/p50 ÷ screw-pareto:engines/name=*18*.int8/latency_ms/p50",
            "screw-resnet18:engines/name=*.fp32/latency_ms/p50 ÷ screw-resnet18:engines/name=*.int8/latency_ms/p50",
        ],
    ),
    (
        "F1 from {:.3f} to {:.3f}, and {:.0f} of the {:.0f} verdicts are others",
        [
            "screw-resnet18:engines/name=*.fp32/f1_max",
            "screw-resnet18:engines/name=*.int8/f1_max",
            "screw-resnet18:engines/name=*.int8/flips",
            "screw-resnet18:pictures/good + screw-resnet18:pictures/anomalous",
        ],
    ),
    (
        "shifts scores and swaps close ones ({:.0f} of the {:.0f} verdicts on screw changed",
        [
            "screw-resnet18:engines/name=*.int8/flips",
            "screw-resnet18:pictures/good + screw-resnet18:pictures/anomalous",
        ],
    ),
    (
        f"| `wide_resnet50_2` | {BARE} | `benchmarks/results/peers-int8.md` |",
        precisions("peers-int8", "rows", ("AAND fp32", "AAND fp16", "AAND int8")),
    ),
    *(
        (
            f"| `{backbone}` | {BARE} | `benchmarks/results/screw-pareto.md` |",
            precisions("screw-pareto", "engines", tuple(f"*{backbone}*.{each}" for each in ("fp32", "fp16", "int8"))),
        )
        for backbone in ("resnet18", "efficientnet_lite0")
    ),
    (
        "`efficientnet_lite0` {:.3f}, {:.3f} and {:.3f}, `resnet18` {:.3f}, {:.3f} and {:.3f}.",
        [
            f"screw-pareto:engines/name=*{backbone}*.{each}/image_auroc"
            for backbone in ("lite0", "18")
            for each in ("fp32", "fp16", "int8")
        ],
    ),
    (
        "in bfloat16, our int8 is {:.1f} times as fast",
        [
            "peers-int8:rows/name=anomalib reverse distillation wide_resnet50_2 as it comes/latency_ms/p50 "
            "÷ peers-int8:rows/name=AAND int8/latency_ms/p50"
        ],
    ),
    (
        "**our int8 takes {:.1f} times as long as anomalib's own**, and our fp32 {:.1f} times as long as its fp32",
        [
            f"peers-int8:rows/name=AAND {each}/latency_ms/p50 "
            f"÷ peers-int8:rows/name=anomalib reverse distillation wide_resnet50_2 {each}/latency_ms/p50"
            for each in ("int8", "fp32")
        ],
    ),
    (
        "(image AUROC {:.3f} and {:.3f}, fp32) in {:.0%} of the time",
        [
            "screw-pareto:engines/name=*lite0*.fp32/image_auroc",
            "screw-pareto:engines/name=*18*.fp32/image_auroc",
            "screw-pareto:engines/name=*lite*.fp32/latency_ms/p50 ÷ screw-pareto:engines/name=*18*.fp32/latency_ms/p50",
        ],
    ),
    (
        "(AUPRO {:.3f} and {:.3f}). At its fastest, `efficientnet_lite0` takes {:.1f} ms (fp16) and "
        "`resnet18` {:.1f} ms (int8)",
        [
            "screw-pareto:engines/name=*lite0*.fp32/aupro",
            "screw-pareto:engines/name=*18*.fp32/aupro",
            "screw-pareto:engines/name=*lite0*.fp16/latency_ms/p50",
            "screw-pareto:engines/name=*18*.int8/latency_ms/p50",
        ],
    ),
    (
        "reaches an image AUROC of {:.2f}, {:.2f}, {:.2f} and {:.2f}",
        [f"accuracy-screw-resnet18-few:rows/pictures={count}/image_auroc" for count in (10, 30, 100, None)],
    ),
    (
        "| AAND int8 | {:.1f} ms | **{:.1f}×** (quartiles of the rounds {:.1f}–{:.1f}) |",
        peer("AAND int8", "ratio", "ratio_quartiles/0", "ratio_quartiles/1"),
    ),
    ("| AAND fp16 (bfloat16 there) | {:.1f} ms | {:.1f}× |", peer("AAND fp16", "ratio")),
    ("| AAND int8 | {:.1f} ms | {:.1f}× | {:.3f} | {:.3f} |", rival("AAND int8")),
    ("| AAND fp16 (bfloat16 there) | {:.1f} ms | {:.1f}× | {:.3f} | {:.3f} |", rival("AAND fp16")),
    ("| AAND fp32 | {:.1f} ms | {:.2f}× | {:.3f} | {:.3f} |", rival("AAND fp32")),
    (
        "| anomalib reverse distillation, fp32 | {:.1f} ms | {:.0f} | {:.3f} | {:.3f} |",
        rival("anomalib reverse distillation resnet18 fp32"),
    ),
    *(
        (f"| anomalib {label} | {{:.1f}} ms | {{:.1f}}× | {{:.3f}} | {{:.3f}} |", rival(f"anomalib {name}"))
        for label, name in (
            ("reverse distillation, as it comes (bfloat16)", "reverse distillation resnet18 as it comes"),
            ("reverse distillation, int8 (its own, by NNCF)", "reverse distillation resnet18 int8"),
            ("PatchCore, as it comes", "PatchCore resnet18 as it comes"),
            ("PaDiM, as it comes", "PaDiM resnet18 as it comes"),
        )
    ),
    ("| AAND fp32 | {:.1f} ms | {:.2f}× |", peer("AAND fp32", "ratio")),
    (
        "| anomalib reverse distillation, fp32 | {:.1f} ms | {:.0f} |",
        peer("anomalib reverse distillation wide_resnet50_2 fp32", "ratio"),
    ),
    (
        "| anomalib reverse distillation, as it comes (bfloat16) | {:.1f} ms | {:.1f}× |",
        peer("anomalib reverse distillation wide_resnet50_2 as it comes", "ratio"),
    ),
    (
        "| anomalib reverse distillation, int8 (its own, by NNCF) | {:.1f} ms | {:.1f}× |",
        peer("anomalib reverse distillation wide_resnet50_2 int8", "ratio"),
    ),
    ("| our reverse distillation, int8 | {:.1f} ms | {:.1f}× |", peer("our reverse distillation int8", "ratio")),
    ("| AAND, PyTorch eager | {:.1f} ms | {:.2f}× |", peer("AAND fp32, torch eager", "ratio")),
    (
        "{:.1f} times the pictures a second of the authors' recipe in stage one, {:.1f} times in stage two, {:.1f}",
        ["training-speed:times_as_fast/1", "training-speed:times_as_fast/2", "training-speed:paper_schedule"],
    ),
    ("**{:.2f} ms beside {:.1f} ms of inference**", ["loop:beside_ms/p50", "loop:inference_ms/p50"]),
    ("{:.2f} s from the command line to the first verdict", ["start:start_to_first_verdict_s/median"]),
    (
        "{:.0f} failures of the engine, {:.0f} new builds of it",
        ["soak:injected/engine error", "soak:injected/new build"],
    ),
    ("{:,.0f} signals", ["soak:injected/SIGHUP"]),
    (
        "accounted for each of {:,.0f} frames, and every one of {:,.0f} MQTT messages",
        ["soak:accounted", "soak:mqtt/sent"],
    ),
    (
        "resident memory grew {:.1f} ± {:.1f} MB an hour",
        ["soak:growth/memory_mb/slope_an_hour", "soak:growth/memory_mb/standard_error"],
    ),
    (
        "allocated memory did not grow ({:.1f} ± {:.1f})",
        ["soak:growth/allocated_mb/slope_an_hour", "soak:growth/allocated_mb/standard_error"],
    ),
    (
        "read {:.1f} ± {:.1f} and {:.1f} ± {:.1f}, over a quarter of an hour only (`results/soak-steady.md`)",
        [
            f"soak-steady:growth/{what}/{which}"
            for what in ("memory_mb", "allocated_mb")
            for which in ("slope_an_hour", "standard_error")
        ],
    ),
    ("{:.0f} times as fast as its literal definition", ["metrics:times_as_fast"]),
    ("{:.0f} cases of damaged and hostile files", ["hostile:cases"]),
]


def figure(place: str) -> float:
    """What stands there; the mean where several do."""
    one, mark, other = place.partition(" + ")
    if mark:
        return figure(one) + figure(other)
    over, mark, under = place.partition(" ÷ ")
    if mark:
        return figure(over) / figure(under)
    file, _, path = place.partition(":")
    found: list[Any] = [json.loads((REPOSITORY / f"benchmarks/results/{file}.json").read_text(encoding="utf-8"))]
    for step in path.split("/"):
        found = [each for value in found for each in chosen(value, step)]
    while any(isinstance(each, list) for each in found):
        found = [each for value in found for each in value]
    assert found, place
    return float(sum(found) / len(found))


def chosen(value: Any, step: str) -> list[Any]:
    if isinstance(value, dict):
        return [each for key, each in value.items() if fnmatchcase(key, step)]
    if step.isdecimal():
        return [value[int(step)]]
    field, mark, wanted = step.partition("=")
    if not mark:
        return [each[field] for each in value]
    return [each for each in value if fnmatchcase(str(each[field]), wanted)]


def filled(text: str, places: list[str]) -> str:
    """The text with its figures, as the documents set them: −0.5, 37 %."""
    return re.sub(r"(\d)%", r"\1 %", re.sub(r"-(?=\d)", "−", text.format(*map(figure, places))))


@pytest.mark.parametrize(("text", "places"), FIGURES, ids=[re.sub(r"\W+", " ", text).strip() for text, _ in FIGURES])
def test_a_figure_of_the_documents_is_that_of_the_results(text: str, places: list[str]) -> None:
    wanted = filled(text, places)
    assert [each for each, words in TEXTS.items() if wanted in words], wanted


@pytest.mark.parametrize("document", SECTIONS)
def test_every_row_of_figures_is_held(document: str) -> None:
    held = {filled(text, places) for text, places in FIGURES}
    rows = [line for line in SECTIONS[document].splitlines() if line.startswith("|") and re.search(r"\d\.\d", line)]
    assert rows
    assert [row for row in rows if row not in held] == []
