"""The documents: links lead somewhere, commands exist with the options that are shown, quoted errors are real ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from aand_edge.cli import app
from tests.conftest import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("*/README.md"), *REPOSITORY.glob("docs/*.md")])
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "aand_edge").rglob("*.py")))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def named(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def anchors(document: Path) -> set[str]:
    """The ids that a forge gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(document: Path) -> list[str]:
    """Every `aand-edge …` of a code block, and those in backticks that name a command with its options."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`(aand-edge [^`\n]+)`", prose)
    return [line for line in (*lines, *inline) if line.startswith("aand-edge ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{named(document)} links to {target}"
        assert not anchor or anchor in anchors(there), f"{named(document)} links to {target}"


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if commands(each)], ids=named)
def test_commands_exist_with_the_options_shown(document: Path) -> None:
    for line in commands(document):
        words = [word for word in shlex.split(line, comments=True)[1:] if word != "…"]
        for end in ("|", ">", "2>", "&", "&&", ";"):
            words = words[: words.index(end)] if end in words else words
        check(words, f"{named(document)}: {line}")


def check(words: list[str], told: str) -> None:
    """Parse the words as the program does; placeholders in capitals stand for values, and nothing runs."""
    if not words or words in (["--help"], ["--version"]):
        return
    assert words[0] in COMMANDS, told
    options = {name for each in COMMANDS[words[0]].params for name in (*each.opts, *each.secondary_opts)}
    for word in words[1:]:
        if word.startswith("--"):
            assert word.partition("=")[0] in {*options, "--help"}, f"{told}: {word}"


def test_the_errors_that_troubleshooting_quotes_are_in_the_code() -> None:
    text = (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"\*\*`([^`]+)`", text)
    assert len(quoted) > 15
    # An f-string's fields and line breaks lie between the words that are quoted.
    plain = re.sub(r'"\s*\n\s*f?"', "", SOURCES)
    for each in quoted:
        pattern = r"(?:\{[^}]*\}|\s)*".join(re.escape(word) for word in each.split())
        assert re.search(pattern, plain), f"no error says '{each}'"
