"""The commands that the documents show, run as they stand there; paths, ports and ends alone are put in their place."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pytest
import typer.main
from PIL import Image

from aand_edge.cli import app, main
from aand_edge.data.sample import write_sample_set
from tests.commands import PROGRAM, run, wait_for
from tests.conftest import REPOSITORY
from tests.documents import blocks, calls, named, simple_commands

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
# As small as a job can be: what is shown is what runs, not what it learns.
TINY = {
    "size": "64",
    "epochs_amplify": "1",
    "epochs_distill": "1",
    "steps_amplify": "0",
    "steps_distill": "0",
    "repeats": "3",
    "warmup": "1",
}


def steps(text: str) -> list[list[str]]:
    """The first block that starts a workspace, command by command."""
    block = next(each for each in blocks(text) if "aand-edge init" in each.text)
    return [words for line in block.text.splitlines() for words in simple_commands(line)]


def make_tiny(file: Path, weights: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for key, value in {**TINY, "weights": f'"{weights.as_posix()}"'}.items():
        text, changed = re.subn(rf"^# {key} = \S+", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
        assert changed == 1, key
    file.write_text(text, encoding="utf-8")


def run_here(folder: Path, *arguments: str) -> str:
    """What the command prints; as `run`, in this process, where PyTorch is loaded once for all of them."""
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(told), redirect_stderr(told):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["aand-edge", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code, f"{arguments}: {told.getvalue()}"
    return told.getvalue()


@dataclass(frozen=True)
class Job:
    """The workspace that README's block "Your own pictures" leaves behind, and what its commands printed."""

    folder: Path
    printed: list[tuple[list[str], str]]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    torch = pytest.importorskip("torch")
    from torchvision.models import resnet18

    folder = tmp_path_factory.mktemp("readme")
    write_sample_set(folder / "pictures", train=10, test_good=3, per_defect=1, size=64)
    torch.manual_seed(0)
    torch.save(resnet18(weights=None).state_dict(), folder / "weights.pth")
    places = {
        "/path/to/pictures": str(folder / "pictures"),
        "/path/to/new/pictures": str(folder / "pictures/test/good"),
    }
    where, printed = folder, []
    for words in steps(README):
        if words[0] == "cd":
            where = where / words[1]
        if words[0] != "aand-edge":
            continue
        printed.append((words[1:], run_here(where, *(places.get(word, word) for word in words[1:]))))
        if words[1] == "init":
            make_tiny(next(folder.glob("*/aand-edge.toml")), folder / "weights.pth")
    return Job(where, printed)


def test_the_block_of_readme_goes_through_and_leaves_what_it_says(job: Job) -> None:
    line1 = job.folder
    told = [words[1] for words in steps(README) if words[0] == "aand-edge"]
    assert told == ["init", "doctor", "train", "train", "eval", "build", "build", "build", "bench", "run"]
    with Image.open(line1 / "sheet.png") as sheet:
        assert sheet.size == (6 * 64, 4 * 64)
    card = json.loads((line1 / "models/pictures-resnet18/card.json").read_text(encoding="utf-8"))
    assert (card["size"], card["recipe"]["epochs_amplify"]) == (64, 1)
    assert "image_auroc" in card["metrics"]
    built = sorted(path.name for path in (line1 / "engines").glob("*.json"))
    assert built == [f"pictures-resnet18.openvino.{precision}.json" for precision in ("fp16", "fp32", "int8")]
    report = json.loads(next(line1.glob("benchmarks/*/report.json")).read_text(encoding="utf-8"))
    assert [row["name"].rpartition(".")[2] for row in report["engines"]] == ["fp16", "fp32", "int8", "torch-eager"]
    judged = (line1 / "verdicts/verdicts.jsonl").read_text(encoding="utf-8")
    assert judged.count('"inspected"') == 3


def rendered_sources() -> list[tuple[str, list[str]]]:
    """What the documents show of `run test://…`, each once."""
    found: dict[tuple[str, ...], str] = {}
    for document in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))):
        for words in calls(document.read_text(encoding="utf-8"), "aand-edge"):
            if words[:1] == ["run"] and any("test://" in word for word in words):
                found.setdefault(tuple(words), named(document))
    return [(document, list(words)) for words, document in found.items()]


def bounded(word: str) -> str:
    """A source without an end ends after 10 frames, and frames come faster than anyone waits for in a test."""
    if "test://" not in word:
        return word
    word = re.sub(r"rate=\d+", "rate=100", word)
    return (
        re.sub(r"count=\d+", "count=10", word) if "count=" in word else f"{word}{'&' if '?' in word else '?'}count=10"
    )


@pytest.fixture(scope="module")
def station(job: Job) -> Path:
    """The workspace with one engine named, as that of a station has."""
    file = job.folder / "aand-edge.toml"
    text = file.read_text(encoding="utf-8")
    engine = 'engine = "pictures-resnet18.openvino.fp32"'
    file.write_text(text.replace('# engine = "NAME"', engine), encoding="utf-8")
    assert engine in file.read_text(encoding="utf-8")
    return job.folder


@pytest.mark.parametrize(("document", "words"), [each for each in rendered_sources() if "--trigger" not in each[1]])
def test_a_loop_over_rendered_parts_runs_as_shown(
    station: Path, tmp_path: Path, document: str, words: list[str]
) -> None:
    words = [str(tmp_path) if word == "verdicts" else "0" if word == "8765" else bounded(word) for word in words]
    done = run(station, *words)
    assert sum(line.startswith(("pass", "REJECT")) for line in done.stdout.splitlines()) > 0, document


def test_a_part_that_is_announced_over_tcp_is_judged_as_shown(station: Path, tmp_path: Path) -> None:
    """docs/line.md: the loop that waits for a trigger, and what is said to it from elsewhere."""
    text = (REPOSITORY / "docs/line.md").read_text(encoding="utf-8")
    block = next(each.text for each in blocks(text) if "--trigger" in each.text)
    commands = [words for line in block.splitlines() for words in simple_commands(line)]
    loop, (says, announced), (netcat, *_, host, port) = commands
    assert (says, netcat) == ("printf", "nc")
    assert f"{host}:{port}" in " ".join(loop)
    with socket.socket() as probe:
        probe.bind((host, 0))
        free = probe.getsockname()[1]
    # A busy machine may be slower than the half second that a trigger waits for a frame.
    patient = {"verdicts": str(tmp_path / "out"), f"{port}?reply=1": f"{free}?reply=1&timeout_ms=20000"}
    words = [reduce(lambda word, each: word.replace(*each), patient.items(), word) for word in loop[1:]]
    record = tmp_path / "out/verdicts.jsonl"
    with subprocess.Popen([PROGRAM, *words], cwd=station, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: record.exists() and '"live"' in record.read_text(encoding="utf-8"))
            assert answered(host, free, announced.encode().decode("unicode_escape")) == "ok\n"
            wait_for(lambda: '"part": "A17"' in record.read_text(encoding="utf-8"))
        finally:
            process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.startswith(("pass", "REJECT"))


def answered(host: str, port: int, says: str) -> str:
    """What the station says to it."""
    with socket.create_connection((host, port), timeout=20) as line:
        line.sendall(says.encode())
        return line.makefile(encoding="utf-8").readline()


# docs/commands.md: what each command printed once. Figures change, rows and headings may not.

PAGE = (REPOSITORY / "docs/commands.md").read_text(encoding="utf-8")
SHOWN = [each.text.partition("\n")[::2] for each in blocks(PAGE) if each.language == "console"]
MACHINES = {"note", "", "executed.f#", "executed.u#", "executed.bf#"}  # rows that not every CPU's engines have


def labels(printed: str, model: str) -> set[str]:
    """Names of rows, headings of columns, and beginnings of sentences, without what is this run's own."""
    found = set()
    for line in printed.replace(model, "NAME").splitlines():
        if line.startswith("┃"):
            found |= {f"column {cell.strip()}" for cell in line.strip("┃").split("┃")}
        elif line[:1] not in "┏┡│└…" and not line.startswith(("REJECT", "pass")):
            found.add(re.sub(r"\d+(\.\d+)?", "#", re.split(r" {2,}|: |,", line.rstrip())[0]))
    return {
        re.sub(r"^(Wrote|report|Use) .*", r"\1", label) for label in found if "/" not in label or label.startswith("W")
    }


def test_the_page_of_commands_shows_every_command() -> None:
    shown = [command.split()[2:] for command, _ in SHOWN]
    assert {words[0] for words in shown} == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert any("--roofline" in words for words in shown)
    assert any("--triton" in words for words in shown)


@pytest.fixture(scope="module")
def triton(job: Job) -> str:
    return run_here(job.folder, "export", "--precision", "fp16", "--triton", "repository")


@pytest.mark.parametrize(("command", "page"), SHOWN, ids=[command for command, _ in SHOWN])
def test_rows_on_the_page_of_commands_are_those_that_the_command_prints(
    job: Job, triton: str, command: str, page: str
) -> None:
    theirs, ours = "sample-efficientnet_lite0", "pictures-resnet18"
    name, *options = command.replace(theirs, ours).split()[2:]
    if name == "export":
        printed = triton
    elif name in ("record", "calibrate", "threshold", "inspect") or "--roofline" in options:
        printed = run_here(job.folder, name, *options)
    else:
        asked = {"int8", "--eager"} & set(options)
        printed = next(text for words, text in reversed(job.printed) if words[0] == name and asked <= set(words))
    shown = labels(page, theirs)
    assert len(shown) > 2
    assert shown - labels(printed, ours) - MACHINES == set()
