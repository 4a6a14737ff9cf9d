"""Our engines beside anomalib's models: the same frames and threads, in turns, from a decoded frame to score and map.

    python3 -m venv benchmarks/work/anomalib
    benchmarks/work/anomalib/bin/pip install 'anomalib[openvino]==2.7.0'
    python -m benchmarks.peers --data screw                  # wide_resnet50_2, random weights: speed alone
    python -m benchmarks.peers --data screw --model models/screw-resnet18 --weights resnet18.pth --name peers-resnet18

anomalib runs in an environment of its own (--anomalib: its python), exported by its own exporter and asked through its
own OpenVINOInferencer. Speed does not depend on weights: without --model and --weights they are random. With them,
accuracy is measured on the test split too. Writes results/NAME.json and .md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.artifacts import CARD, ModelCard, write_json
from aand_edge.bench.device import describe_device
from aand_edge.data.layouts import Category, Sample, read_category
from aand_edge.data.pictures import read_picture
from aand_edge.data.resize import resize
from aand_edge.evaluation.metrics import evaluate
from benchmarks import RESULTS, WORK
from benchmarks.peers_ours import prepare
from benchmarks.peers_table import REFERENCE, page, reference_of, row_of
from benchmarks.report import as_program, parser_of, write_report
from benchmarks.split import drawn_masks
from benchmarks.turns import EndedEarlyError, Player, environment

SIZE = 256
FRAMES = 32  # that are timed on, in turn
GOOD = 32  # good pictures that untrained peers remember and are calibrated on; trained ones have all
Commands = dict[str, list[str]]


def write_frames(samples: Sequence[Sample], path: Path) -> Path:
    """The pictures as decoded frames: uint8 (N, S, S, 3), RGB."""
    np.save(path, np.stack([resize(read_picture(sample.path), SIZE, SIZE) for sample in samples]))
    return path


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """So many of them, evenly apart."""
    return [samples[int(place)] for place in np.linspace(0, len(samples) - 1, min(count, len(samples)))]


def theirs(work: Path, python: Path, backbone: str, weights: Path | None, epochs: int) -> tuple[Commands, Any]:
    """Commands that serve anomalib's models by name, and what anomalib.json tells of them."""
    if not python.is_file():
        raise SystemExit(f"There is no {python}: make the environment as `python -m benchmarks.peers --help` says.")
    program = [str(python), "-m", "benchmarks.peers_anomalib"]
    told = work / "anomalib.json"
    _keep_to(work / "asked.json", {"backbone": backbone, "weights": str(weights or ""), "epochs": epochs})
    if not told.is_file():
        training = ["--weights", str(weights.resolve()), "--epochs", str(epochs)] if weights else []
        pictures = str(work / "pictures.npy")
        command = [*program, "prepare", str(work), "--pictures", pictures, "--backbone", backbone, *training]
        print("anomalib's models are made and exported: see prepare.log", flush=True)
        with (work / "prepare.log").open("w") as log:
            subprocess.run(command, check=True, cwd=work, env=environment(), stdout=log, stderr=log)
    facts = json.loads(told.read_text(encoding="utf-8"))
    commands = {}
    for name, peer in facts["peers"].items():
        serving = [*program, "serve", peer["model"]]
        if "int8" not in name:  # an int8 graph's float layers run as OpenVINO pleases
            commands[f"{name} fp32"] = [*serving, "--held"]
            commands[f"{name} as it comes"] = serving
        else:
            commands[name] = serving
    return commands, facts


def _keep_to(path: Path, asked: dict[str, Any]) -> None:
    """What lies in a work folder was made for these options. Ends the program where it was made for others."""
    if not path.is_file():
        write_json(path, asked)
    elif (made := json.loads(path.read_text(encoding="utf-8"))) != asked:
        differing = next(key for key in asked if made.get(key) != asked[key])
        raise SystemExit(
            f"{path.parent} was made with --{differing} {made.get(differing)}, now it is {asked[differing]}: "
            "take --fresh, or another --name."
        )


def accuracy(player: Player, category: Category, work: Path) -> dict[str, float | None]:
    """Figures on the whole test split, from the scores and maps that a contender answers."""
    scores = player.judge(work / "test.npy", work / "maps.npy")
    maps: NDArray[np.float32] = np.load(work / "maps.npy")
    anomalous = np.array([sample.anomalous for sample in category.test])
    return evaluate(scores, anomalous, maps, drawn_masks(category.test, maps.shape[-1])).to_dict()


def start(commands: Mapping[str, Sequence[str]], work: Path, threads: int, stack: ExitStack) -> list[Player]:
    """A process for each; told, and left out, where one does not come up."""
    players = []
    for name, command in commands.items():
        try:
            players.append(stack.enter_context(Player(name, command, work, threads)))
            print(f"{name}: answers after {players[-1].start_s:.1f} s", flush=True)
        except EndedEarlyError as error:
            print(f"{name}: not measured: {error}", flush=True)
    return players


def play(players: Sequence[Player], rounds: int, runs: int) -> None:
    """Rounds of turns, in another order each time, so that nobody always follows the same one."""
    orders = np.random.default_rng(0)
    for number in range(rounds):
        for place in orders.permutation(len(players)):
            players[place].take_turn(runs)
        print(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", flush=True)


def compete(options: Namespace) -> dict[str, Any]:
    """Everything measured, as plain values."""
    work: Path = WORK / options.name
    if options.fresh:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    category = read_category(options.data)
    backbone = ModelCard.read(options.model / CARD).backbone if options.model else options.backbone
    write_frames(category.train if options.weights else spread(category.train, GOOD), work / "pictures.npy")
    frames = write_frames(spread(category.test, FRAMES), work / "frames.npy")
    peers, told = theirs(work, options.anomalib, backbone, options.weights, options.epochs)
    commands = prepare(work, options.model, options.data, backbone, options.threads) | peers
    if options.only:
        commands = {name: command for name, command in commands.items() if any(each in name for each in options.only)}
    timing = ["--frames", str(frames), "--threads", str(options.threads)]
    before = os.getloadavg()[0]
    with ExitStack() as stack:
        players = start({name: [*each, *timing] for name, each in commands.items()}, work, options.threads, stack)
        if reference_of(players) is None:
            raise SystemExit(f"{REFERENCE}, fp32, does not take part, and ratios are its: see the logs in {work}.")
        play(players, options.rounds, options.runs)
        figures: dict[str, Any] = {}
        if options.model and options.weights:
            write_frames(category.test, work / "test.npy")
            figures = {player.name: accuracy(player, category, work) for player in players}
    load = [before, os.getloadavg()[0]]
    rows = [row_of(player, players, figures.get(player.name)) for player in players]
    return {
        "backbone": backbone,
        "category": category.name,
        "trained": bool(options.model),
        "threads": options.threads,
        "rounds": options.rounds,
        "runs": options.runs,
        "load": load,
        "anomalib": {**told, "peers": {name: peer["note"] for name, peer in told["peers"].items()}},
        "device": describe_device(),
        "rows": rows,
    }


def main() -> None:
    """Measure, and write what came out."""
    parser = parser_of("benchmarks.peers", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="a category: frames to time on, pictures to remember")
    parser.add_argument("--model", type=Path, help="folder of a trained model; random weights without it")
    parser.add_argument("--backbone", default="wide_resnet50_2", help="of the untrained model")
    parser.add_argument("--weights", type=Path, help="ImageNet weights for anomalib's encoders of that backbone")
    parser.add_argument(
        "--epochs", type=int, default=16, help="that anomalib's reverse distillation is trained, with --weights"
    )
    parser.add_argument("--anomalib", type=Path, default=WORK / "anomalib" / "bin" / "python")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5, help="timed runs of a turn")
    parser.add_argument("--only", nargs="*", help="parts of names: nobody else takes part")
    parser.add_argument("--name", default="peers")
    parser.add_argument("--fresh", action="store_true", help="make every model and engine again")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    options.data, options.anomalib = options.data.resolve(), options.anomalib.absolute()
    options.model = options.model and options.model.resolve()
    result = compete(options)
    write_report(options.out / options.name, result, page(result))


if __name__ == "__main__":
    as_program(main)
