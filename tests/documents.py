"""The documents, and what of them a reader would type: code blocks, and words in backticks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

DOCUMENTS = sorted(
    {
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("[!.]*/README.md"),  # pytest writes one into .pytest_cache
        *REPOSITORY.glob("docs/*.md"),
        REPOSITORY / "benchmarks/notes.md",
    }
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block, with what stands behind its first three backticks."""

    language: str
    text: str


def named(path: Path) -> str:
    """A document's name for a test's id."""
    return path.relative_to(REPOSITORY).as_posix()


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(text)]


def spans(text: str) -> list[str]:
    """What stands in backticks outside code blocks; a cell's escaped bars are bars."""
    return [
        " ".join(found.split()).replace("\\|", "|")
        for found in re.findall(r"`([^`]+)`", BLOCK.sub("", text))
        if "\n\n" not in found
    ]


def lines(text: str) -> Iterator[str]:
    """Every line of the code blocks that a shell would take, and every span of several words."""
    for block in blocks(text):
        if block.language in ("", "sh", "bash"):
            yield from (line.strip() for line in block.text.replace("\\\n", " ").splitlines())
        if block.language == "console":
            yield from (line[2:] for line in block.text.splitlines() if line.startswith("$ "))
    yield from (span for span in spans(text) if " " in span)


def simple_commands(line: str) -> list[list[str]]:
    """`cd x && sudo a b | c > d  # why` → [[cd, x], [a, b], [c]]; none of a line that is no shell's."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        words = list(lexer)
    except ValueError:  # an apostrophe of prose
        return []
    found: list[list[str]] = [[]]
    skip = False
    for word in words:
        if set(word) <= set("|&;"):
            found.append([])
        elif set(word) <= set("<>&"):
            skip = True
        elif skip:
            skip = False
        else:
            found[-1].append(word)
    return [_bare(words) for words in found if _bare(words)]


def _bare(words: list[str]) -> list[str]:
    """Without `sudo` and assignments before it, and without a `…` that stands for more of the kind."""
    while words and (words[0] == "sudo" or re.fullmatch(r"[A-Z_]+=.*", words[0])):
        words = words[1:]
    return [word for before, word in zip(["", *words], words, strict=False) if word != "…" or before.startswith("-")]


def calls(text: str, program: str) -> list[list[str]]:
    """What every call of the program gives it, whatever folder it lies in; a container's image is taken for it."""
    found = []
    for line in lines(text):
        for words in simple_commands(line):
            if Path(words[0]).name == program:
                found.append(words[1:])
            elif words[:2] == ["docker", "run"]:
                found += [words[at + 1 :] for at, word in enumerate(words) if word.startswith(f"{program}:")]
    return found
