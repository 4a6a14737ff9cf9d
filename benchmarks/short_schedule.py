"""What the short schedule gives on a CPU: AAND against reverse distillation, several seeds, an honest protocol.

    python benchmarks/short_schedule.py --data DIR --backbone resnet18 --weights FILE --seeds 2 --jobs 2

Trains and evaluates with the command line, a process each, and writes NAME.json and NAME.md beside this file. A run
whose model is there already is not trained again, so an interrupted benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

HERE = Path(__file__).resolve().parent
METHODS = {"AAND": [], "reverse distillation": ["--no-amplify", "--hard-patches", "0"]}
FIGURES = ("image_auroc", "pixel_auroc", "aupro", "f1_max")


def command_line(arguments: list[str], folder: Path, threads: int) -> dict[str, Any]:
    """The JSON answer of an aand-edge command that runs in `folder`."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    program = [str(Path(sys.executable).with_name("aand-edge")), *arguments, "--json"]
    done = subprocess.run(program, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def run_one(options: argparse.Namespace, method: str, seed: int, threads: int) -> dict[str, Any]:
    """Train and evaluate one model; the row of the table."""
    name = f"{options.name}-{method.split()[0].lower()}-{seed}"
    model = options.workspace / "models" / name
    if not (model / "card.json").is_file():
        train = ["train", "--data", str(options.data), "--backbone", options.backbone, "--preset", "short"]
        train += ["--seed", str(seed), "--name", name, "--device", "cpu", *METHODS[method], *options.extra]
        train += ["--weights", str(options.weights)] if options.weights else []
        command_line(train, options.workspace, threads)
    figures = command_line(["eval", name, "--data", str(options.data)], options.workspace, threads)
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    row = {"method": method, "seed": seed, "threads": threads, **{key: figures[key] for key in FIGURES}}
    return {**row, "seconds": card["seconds"], "recipe": card["recipe"], "train": card["data"]["train"]}


def table(rows: list[dict[str, Any]], title: str, device: str) -> str:
    """The rows and each method's mean as Markdown."""
    lines = [
        f"# {title}",
        "",
        device,
        "",
        "| | seed | image AUROC | pixel AUROC | AUPRO | training, s |",
        "|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        for row in mine:
            seconds = sum(row["seconds"].values())
            lines.append(
                f"| {method} | {row['seed']} | "
                + " | ".join(f"{row[key]:.3f}" for key in FIGURES[:3])
                + f" | {seconds:.0f} |"
            )
        means = " | ".join(f"**{mean(row[key] for row in mine):.3f}**" for key in FIGURES[:3])
        lines.append(f"| **{method}** | mean | {means} | {mean(sum(row['seconds'].values()) for row in mine):.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all methods and seeds, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; the cores are shared among them")
    parser.add_argument("--workspace", type=Path, default=HERE / "work")
    options, options.extra = parser.parse_known_args()  # what is not known goes on to `aand-edge train`
    options.data, options.weights = options.data.resolve(), options.weights and options.weights.resolve()
    options.name = f"{options.data.name}-{options.backbone}"
    options.workspace.mkdir(parents=True, exist_ok=True)
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    plan = [(method, seed) for seed in range(options.seeds) for method in METHODS]
    with ThreadPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(lambda each: run_one(options, *each, threads), plan))
    device = f"{cpu_name()}, {os.cpu_count()} threads, {options.jobs} runs at a time with {threads} threads each."
    result = {"device": device, "backbone": options.backbone, "rows": rows}
    out = HERE / f"short-{options.name}"
    out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    title = f"{options.data.name}, {options.backbone}: the short schedule on a CPU"
    out.with_suffix(".md").write_text(table(rows, title, device), encoding="utf-8")
    print(out.with_suffix(".md").read_text(encoding="utf-8"))


def cpu_name() -> str:
    """The processor's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.is_file()
        else []
    )
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
