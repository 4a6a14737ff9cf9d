"""The documents: links lead somewhere, commands are such as the programs take, quoted errors are real ones."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, get_args

import pytest
import typer.main

from aand_edge.artifacts import Threshold
from aand_edge.cli import app
from aand_edge.cli.lookup import parse_frame, parse_roi
from aand_edge.cli.options import parse_regions
from aand_edge.config import CalibrateSettings, CameraSettings, PageSettings, RunSettings
from aand_edge.config.sections import Backbone, BuildSettings, Layout, Levels, Preset, Schedule
from aand_edge.config.workspace import parse
from aand_edge.engines.registry import FACTORIES
from aand_edge.engines.triton.uri import SCHEME, TritonUri
from aand_edge.errors import AandEdgeError, MissingDependencyError
from aand_edge.runtime.sources.base import SourceOptions
from aand_edge.runtime.sources.uri import open_source
from aand_edge.runtime.triggers.uri import open_triggers
from tests.conftest import REPOSITORY
from tests.documents import DOCUMENTS, blocks, calls, lines, named, simple_commands, spans

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
# Of docker, Python's venv and ssh: in backticks too, and none of ours.
FOREIGN = {
    "--build-arg",
    "--device /dev/gpiochip0",
    "--device /dev/video0",
    "--env-file",
    "--gpus",
    "--init",
    "--publish",
    "--runtime",
    "--system-site-packages",
    "--volume",
}
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=named)


def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def anchors(document: Path) -> set[str]:
    """The ids that a forge gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", read(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(document)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{named(document)} links to {target}"
        assert not anchor or anchor in anchors(there), f"{named(document)} links to {target}"


# What the commands take as text and check themselves, each by the rule that it is checked by.


def one_of(*names: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        assert value in names, f"{value} is none of {', '.join(names)}"

    return check


def of_field(section: Any, name: str) -> Callable[[str], None]:
    return one_of(*get_args(section.model_fields[name].annotation))


def a_source(text: str) -> None:
    """A scheme that there is, with options that it takes; whether a file or a camera is there is not asked."""
    name, mark, rest = text.partition("=")
    camera = CameraSettings(source=rest if mark and name.isalnum() else text)
    if "://" in camera.source or camera.source.isdecimal():
        with suppress(MissingDependencyError):
            open_source(camera.source, SourceOptions())


def a_page(text: str) -> None:
    host, _, port = text.rpartition(":")
    PageSettings.model_validate({"host": host or "127.0.0.1", "port": port})


def an_engine(text: str) -> None:
    if "://" in text:
        assert text.startswith(SCHEME), text
        TritonUri.parse(text)


CHECKS: dict[str, Callable[[str], object]] = {
    "precision": of_field(BuildSettings, "precision"),
    "backend": one_of("auto", *FACTORIES),
    "backbone": one_of(*get_args(Backbone)),
    "preset": one_of(*get_args(Preset)),
    "layout": one_of(*get_args(Layout)),
    "schedule": one_of(*get_args(Schedule)),
    "levels": one_of(*get_args(Levels)),
    "method": of_field(CalibrateSettings, "method"),
    "fail_safe": of_field(RunSettings, "fail_safe"),
    "flip": of_field(CameraSettings, "flip"),
    "rule": of_field(Threshold, "rule"),
    "device": one_of("auto", "cpu", "cuda"),
    "colour": one_of("BGR", "RGB"),
    "frame": parse_frame,
    "roi": parse_roi,
    "quantise": lambda text: parse_regions(text, None),
    "sources": a_source,
    "trigger": lambda text: open_triggers({"camera": text}),
    "page": a_page,
    "engine": an_engine,
    "engines": an_engine,
    "server": an_engine,
}


def placeholder(value: str) -> bool:
    """NAME, DIR, GRAPH, SOURCE, …: the reader's own."""
    return value == "…" or re.fullmatch(r"[A-Z]+", value) is not None


def refusal(words: list[str]) -> str | None:
    """Why `aand-edge WORDS` would not even begin, or None; nothing runs and nothing is looked for."""
    words = [word for word in words if word != "--help"]
    if not words or words == ["--version"]:
        return None
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    try:
        given = COMMANDS[words[0]].make_context(words[0], words[1:]).params
    except typer.BadParameter.__mro__[1] as error:  # click's UsageError, wherever Typer has it from
        return str(error.format_message())  # type: ignore[attr-defined]
    for name, value in given.items():
        check = CHECKS.get("frame" if (words[0], name) == ("run", "size") else name)
        for each in value if isinstance(value, list | tuple) else [value]:
            if check is None or not isinstance(each, str) or placeholder(each):
                continue
            try:
                check(each)
            except (AandEdgeError, ValueError, AssertionError) as error:
                return f"{name} {each}: {error}"
    return None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("build some thing --precision int9", "extra argument"),
        ("build some --precision int9", "int9 is none of"),
        ("train --epochs-distill minus-five", "--epochs-distill"),
        ("train --epochs-distill 5 a b c", "extra argument"),
        ("train --backbone resnet19", "resnet19"),
        ("train --weigths x.pth", "--weigths"),
        ("bench --repeats 0", "--repeats"),
        ("bench --budget-ms", "--budget-ms"),
        ("inspect", "issing"),
        ("invent", "no command"),
        ("run 'test://?raet=20'", "raet"),
        ("run usb://0", "There is no source"),
        ("run test:// --trigger gipo://18", "trigger"),
        ("run test:// --page everywhere", "page"),
        ("export --frame 1280:720", "is no frame size"),
        ("train --roi 1,2,3", "is no region"),
    ],
)
def test_a_command_that_would_be_refused_is_found(line: str, why: str) -> None:
    assert why in (refusal(shlex.split(line)) or "")


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if calls(read(each), "aand-edge")], ids=named)
def test_commands_are_such_as_the_program_takes(document: Path) -> None:
    refused = {
        f"aand-edge {shlex.join(words)}": why
        for words in calls(read(document), "aand-edge")
        if (why := refusal(words)) is not None
    }
    assert refused == {}


def refusal_of_part(words: list[str], name: str) -> str | None:
    """As `refusal`, of a command shown in part: without its argument, and without the value of its last option."""
    valued = {
        option
        for each in COMMANDS[name].params
        for option in (*each.opts, *each.secondary_opts)
        if option.startswith("--") and not each.is_flag
    }
    return refusal([name, *(["NAME"] if name == "inspect" else []), *(words[:-1] if words[-1] in valued else words)])


@every_document
def test_options_in_backticks_exist_and_take_what_is_shown(document: Path) -> None:
    """`--preset short` of any command, and `train --levels standardised` of that one."""
    foreign = set(FOREIGN)
    if document.parent.name == "benchmarks":
        foreign |= {option for script in document.parent.rglob("*.py") for option in options_of(script)}
    for span in spans(read(document)):
        name, _, rest = span.partition(" ")
        words = shlex.split(rest if name in COMMANDS else span) if "--" in span else []
        if not words or not words[0].startswith("--") or words[0] in foreign or " ".join(words[:2]) in foreign:
            continue
        reasons = [refusal_of_part(words, each) for each in ([name] if name in COMMANDS else COMMANDS)]
        assert None in reasons, f"{named(document)}: `{span}`: {reasons}"


# The other programs of this repository.


def options_of(script: Path) -> list[str]:
    return [option for call in arguments_of(script) for option in literals(call) if option.startswith("-")]


def arguments_of(script: Path) -> list[ast.Call]:
    """Its calls of `add_argument`."""
    return [
        node
        for node in ast.walk(ast.parse(read(script)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
    ]


def literals(call: ast.Call) -> list[str]:
    return [argument.value for argument in call.args if isinstance(argument, ast.Constant)]


class RefusedError(Exception):
    """What argparse says of words that it does not take."""


class Parser(ArgumentParser):
    """A script's parser, rebuilt from its source: importing it would load PyTorch, or anomalib."""

    def __init__(self, script: Path) -> None:
        super().__init__(allow_abbrev=False)
        if "add_out(parser" in read(script):  # of benchmarks/report.py
            self.add_argument("--out")
        for call in arguments_of(script):
            given: dict[str, Any] = {}
            for word in call.keywords:
                if word.arg in ("nargs", "action", "required") and isinstance(word.value, ast.Constant):
                    given[word.arg] = word.value.value
                if word.arg == "type" and isinstance(word.value, ast.Name) and word.value.id in ("int", "float"):
                    given["type"] = {"int": int, "float": float}[word.value.id]
            self.add_argument(*literals(call), **given)

    def error(self, message: str) -> NoReturn:
        raise RefusedError(message)


def script_of(words: list[str]) -> tuple[Path, list[str]] | None:
    """`python -m benchmarks.X …` and `python benchmarks/X.py …`: the file, and what it is given."""
    if not re.fullmatch(r"python3?", Path(words[0]).name) or len(words) < 2:
        return None
    if words[1] == "-m" and words[2].startswith("benchmarks") and words[2] != "benchmarks.NAME":
        there = REPOSITORY / words[2].replace(".", "/")
        return there / "__main__.py" if there.is_dir() else there.with_suffix(".py"), words[3:]
    return (REPOSITORY / words[1], words[2:]) if words[1].endswith(".py") else None


USAGES = {
    **{named(document): read(document) for document in DOCUMENTS},
    **{
        named(script): "\n".join(
            f"`{line.strip()}`"
            for line in re.sub(r"\s*\\\n\s*", " ", ast.get_docstring(ast.parse(read(script))) or "").splitlines()
            if line.startswith("    ")
        )
        for folder in ("benchmarks", "docs")
        for script in sorted((REPOSITORY / folder).rglob("*.py"))
    },
}


@pytest.mark.parametrize("where", USAGES)
def test_scripts_exist_with_the_options_shown(where: str) -> None:
    """Those of the documents, and those that a script's own docstring shows."""
    for words in [words for line in lines(USAGES[where]) for words in simple_commands(line)]:
        if (found := script_of(words)) is None:
            continue
        script, given = found
        assert script.is_file(), f"{where}: {shlex.join(words)}"
        if given and arguments_of(script):  # without anything the script is named, and not called
            try:
                Parser(script).parse_args(given)
            except RefusedError as error:
                pytest.fail(f"{where}: {shlex.join(words)}: {error}")
    refused = {shlex.join(words): refusal(words) for words in calls(USAGES[where], "aand-edge") if refusal(words)}
    assert refused == {}


def test_a_script_that_would_refuse_its_words_is_found() -> None:
    found = script_of(["python", "-m", "benchmarks.batch", "WORKSPACE", "--engine", "NAME"])
    assert found is not None
    with pytest.raises(RefusedError, match="required: --engines"):
        Parser(found[0]).parse_args(["WORKSPACE"])
    with pytest.raises(RefusedError, match="unrecognized arguments: --rond"):
        Parser(found[0]).parse_args(["WORKSPACE", "--engines", "NAME", "--rond", "3"])
    assert script_of(["python", "-m", "benchmarks.accuracy"]) == (REPOSITORY / "benchmarks/accuracy/__main__.py", [])


@every_document
def test_extras_targets_and_files_exist(document: Path) -> None:
    text = read(document)
    extras = tomllib.loads(read(REPOSITORY / "pyproject.toml"))["project"]["optional-dependencies"]
    for brackets in re.findall(r"'(?:\.|aand-edge)\[([^]]+)\]'", text):
        assert set(brackets.split(",")) <= set(extras), f"{named(document)}: [{brackets}]"
    for words in calls(text, "wheelhouse.sh"):
        assert set(",".join(words[2:]).split(",")) <= {"", *extras}, f"{named(document)}: {words}"
        if words:
            assert re.fullmatch(r"jetpack[67]|3\.1\d-(x86_64|aarch64)", words[0]), words
    makefile = read(REPOSITORY / "Makefile")
    for words in calls(text, "make"):
        for word in words:
            name, mark, _ = word.partition("=")
            known = rf"^{re.escape(name)} \?=" if mark else rf"^{re.escape(name)}:"
            assert re.search(known, makefile, re.MULTILINE), f"{named(document)}: make {word}"
    folders = "aand_edge|benchmarks|calib|deploy|docs|tests"
    said = [*spans(text), *(word for line in lines(text) for words in simple_commands(line) for word in words)]
    for path in [word for word in said if re.fullmatch(rf"(?:{folders})/[\w.@*/-]+(?:::\w+)?", word)]:
        file, _, name = path.partition("::")
        if file.startswith("benchmarks/work") or file.endswith("/") or "NAME" in file:
            continue
        assert (there := list(REPOSITORY.glob(file))), f"{named(document)}: {path}"
        assert not name or re.search(rf"\b(def|class) {name}\b", read(there[0])), f"{named(document)}: {path}"


@every_document
def test_workspace_files_shown_can_be_read(document: Path) -> None:
    for block in blocks(read(document)):
        if block.language == "toml" or re.match(r"\[+(run|data|model|train|build)\b", block.text):
            parse(block.text, Path("aand-edge.toml"))


def test_scripts_of_the_shell_can_be_read() -> None:
    for script in sorted(REPOSITORY.glob("*/*.sh")):
        subprocess.run(["bash", "-n", script], check=True)


# What is told: the words of errors, notices and log lines, as they stand in the calls that tell them.

TELLING = re.compile(r"(Error|Noticed|notice|say|tell|missed|unavailable|warning|error|info|exception|kind)$")


def words_of(node: ast.AST) -> list[str]:
    """Every string in it; a field of an f-string is any text."""
    found = []
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            found.append(each.value)
        if isinstance(each, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in each.values))
    return found


def told_in(tree: ast.AST) -> list[str]:
    """Strings given to what tells them, yielded by a check or appended to its problems, also by way of a name."""
    given: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if TELLING.search(name) or name == "problems.append":
                given += [*node.args, *(each.value for each in node.keywords)]
        if isinstance(node, ast.Yield) and node.value is not None:
            given.append(node.value)
    for _ in range(2):  # `refused = TOO_MANY` of `TOO_MANY = "…"`
        names = {each.id for node in given for each in ast.walk(node) if isinstance(each, ast.Name)}
        given += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and {each.id for each in node.targets if isinstance(each, ast.Name)} & names
        ]
    return [text for node in given for text in words_of(node)]


TOLD = [text for path in (REPOSITORY / "aand_edge").rglob("*.py") for text in told_in(ast.parse(read(path)))]


def is_told(*parts: str) -> bool:
    """Whether one message has these parts, in this order."""
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    return any(pattern.search(text) for text in TOLD)


def quotes(text: str) -> list[list[str]]:
    """The sentences that troubleshooting.md begins its paragraphs with, each in the parts between its values."""
    leads = [re.split(r" · (?!\*\*)", part, maxsplit=1)[0] for part in text.split("\n\n") if part.startswith("**`")]
    return [
        [" ".join(part.split()) for part in re.findall(r"`([^`]+)`", sentence)]
        for lead in leads
        for sentence in re.split(r"\*\*(?:,| ·)\s\*\*", lead)
    ]


def test_the_errors_that_troubleshooting_quotes_are_told() -> None:
    quoted = quotes(read(REPOSITORY / "docs/troubleshooting.md"))
    assert len(quoted) > 35
    assert [parts for parts in quoted if not is_told(*parts)] == []


@pytest.mark.parametrize(
    "text", ["holds that thread for ever", "Nothing is drawn while nobody watches", "engine_sha256"]
)
def test_what_stands_elsewhere_in_the_code_is_no_message(text: str) -> None:
    assert not is_told(text)
    assert not is_told("The gate did not move", "its manifest says"), "two messages are not one"
