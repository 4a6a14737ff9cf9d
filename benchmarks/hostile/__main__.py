"""Give every command spoilt files and a machine that refuses, and see how it ends.

    python -m benchmarks.hostile --minutes 20 --out benchmarks/results/hostile

A case changes one file of a small but whole workspace, or what the machine allows, and runs a command there in a
process of its own. It must end with a documented exit code, its last line `error: …` where it failed, without a
traceback, a signal or a wait. Afterwards every file that a reader would take for whole must be whole. What is drawn
depends on `--seed` and the case's number alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aand_edge.artifacts import write_json, write_text
from aand_edge.bench.device import describe_device, device_line
from benchmarks.hostile.families import FAMILIES, draw
from benchmarks.hostile.machines import SCENARIOS
from benchmarks.hostile.process import complaint, run
from benchmarks.hostile.whole import restore, torn
from benchmarks.hostile.workspace import prepare


class Trial:
    """Cases on one workspace, counted by family and exit code."""

    def __init__(self, folder: Path, pristine: Path, seed: int) -> None:
        self.folder, self.pristine, self.seed = folder, pristine, seed
        self.codes: dict[str, Counter[int]] = {name: Counter() for name in self.names()}
        self.cases = 0
        self.complaints: list[dict[str, Any]] = []

    @staticmethod
    def names() -> list[str]:
        """Of all families and scenarios, in turns."""
        return [*(family.name for family in FAMILIES), *SCENARIOS]

    def attempt(self, number: int) -> None:
        """Case `number`: spoil, run, look, and put everything back."""
        rng = np.random.default_rng([self.seed, number])
        name = self.names()[number % len(self.names())]
        changed = ""
        if name in SCENARIOS:
            arguments, ended, wrong = SCENARIOS[name](self.folder, rng)
        else:
            case = draw(next(family for family in FAMILIES if family.name == name), self.folder, rng)
            (self.folder / case.file).write_bytes(case.content)
            arguments, changed = case.arguments, case.file
            ended = (run(self.folder, arguments),)
            wrong = complaint(*ended, case.may_pass)
        wrong = wrong or torn(self.folder, except_for=changed)
        restore(self.folder, self.pristine)
        self.cases += 1
        self.codes[name].update(each.code for each in ended)
        if wrong:
            self.complaints.append(
                {"case": number, "family": name, "file": changed, "command": arguments, "wrong": wrong}
            )
            print(f"{number}: {name}: {changed}: aand-edge {' '.join(arguments)}: {wrong}", flush=True)


def report(trial: Trial, seconds: float) -> dict[str, Any]:
    """What was tried and how it ended."""
    return {
        "cases": trial.cases,
        "seed": trial.seed,
        "seconds": round(seconds),
        "exit_codes": {name: {str(code): n for code, n in sorted(c.items())} for name, c in trial.codes.items()},
        "complaints": trial.complaints,
        "device": describe_device(),
    }


def markdown(result: dict[str, Any]) -> str:
    """The same as a table."""
    codes = sorted({int(code) for each in result["exit_codes"].values() for code in each})
    lines = [
        "# Hostile files and machines",
        "",
        f"{device_line(result['device'])}.",
        "",
        f"{result['cases']} cases, seed {result['seed']}; {len(result['complaints'])} ended otherwise than documented.",
        "",
        f"| spoilt | {' | '.join(f'exit {code}' for code in codes)} |",
        f"|---|{'---|' * len(codes)}",
    ]
    for name, each in result["exit_codes"].items():
        lines.append(f"| {name} | {' | '.join(str(each.get(str(code), '')) for code in codes)} |")
    lines += [f"- case {each['case']}, {each['family']}: {each['wrong']}" for each in result["complaints"]]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try cases until the time is over, and write what came out; 1 where a case ended otherwise than documented."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--workspace", type=Path, help="one that was prepared before, or where to prepare it")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/hostile"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aand hostile ü ") as temporary:
        pristine = options.workspace or Path(temporary) / "whole"
        if not pristine.exists():
            prepare(pristine)
        folder = Path(temporary) / "spoilt"
        shutil.copytree(pristine, folder)
        trial, start = Trial(folder, pristine, options.seed), time.monotonic()
        for number in range(options.first, options.first + options.cases):
            if time.monotonic() - start > 60 * options.minutes:
                break
            trial.attempt(number)
    result = report(trial, time.monotonic() - start)
    write_json(options.out.with_suffix(".json"), result)
    write_text(options.out.with_suffix(".md"), markdown(result))
    print(markdown(result))
    return 1 if result["complaints"] else 0


if __name__ == "__main__":
    sys.exit(main())
