"""What `run` and `record` print while they go on."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import typer

if TYPE_CHECKING:
    from aand_edge.runtime.events import Event


@contextmanager
def read_by_someone(stream: TextIO) -> Iterator[None]:
    """What is printed to it within, unless whoever read it has gone, as `head` does: parts are judged all the same."""
    try:
        yield
        stream.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):  # EIO: a terminal that was closed
            raise
    except SystemExit:  # how rich ends a process whose pipe is broken
        pass
    else:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if stream is sys.stdout:
        say_to_someone("warning: nobody reads what is printed any more; parts are judged all the same")


def log_for_who_asks() -> None:
    """What happens is told by the console and the record; a log is for who asks for one."""
    from aand_edge.cli.failure import DEBUG

    logging.getLogger("aand_edge").addHandler(logging.StreamHandler() if DEBUG in os.environ else logging.NullHandler())


def say_to_someone(sentence: str) -> None:
    """A line on stderr, if anybody reads it."""
    from aand_edge.cli.show import say

    with read_by_someone(sys.stderr):
        say(sentence)


class Console:
    """A line a verdict on stdout, or nothing with --json; what went wrong on stderr.

    Parts of a camera that fail one after the other for one reason are told of once, and then counted: a region that
    leaves the picture does so in each of a folder's files. `several`: the camera is named.
    """

    name = "console"

    def __init__(self, quiet: bool, several: bool = False) -> None:
        self._quiet, self._several = quiet, several
        self._failures: dict[str, tuple[str, int]] = {}  # camera → what was told of its last parts, and repeats since
        self._away = set[str]()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what was counted."""
        for camera in list(self._failures):
            self._end_failures(camera)

    def append(self, event: Event) -> None:
        """Print what an operator wants to read."""
        from aand_edge.runtime.events import Failed, Inspected, Noticed, SourceChanged, SourceState

        if isinstance(event, Failed):
            self._failed(event.camera, event.reason)
        elif isinstance(event, Inspected):
            self._end_failures(event.camera)
            if not self._quiet:
                word = "REJECT" if event.rejected else "pass  "
                with read_by_someone(sys.stdout):
                    typer.echo(f"{word}  {event.verdict.score:.4f}  {event.frame.name}{'  late' if event.late else ''}")
        elif isinstance(event, Noticed):
            say_to_someone(f"{event.level}: {event.text}")
        elif isinstance(event, SourceChanged) and event.state in (SourceState.STALLED, SourceState.LOST):
            self._away.add(event.camera)
            say_to_someone(f"{event.camera} is {event.state.value}: {event.reason}")
        elif isinstance(event, SourceChanged) and event.state is SourceState.LIVE and event.camera in self._away:
            self._away.remove(event.camera)
            say_to_someone(f"{event.camera} is live again")

    def _failed(self, camera: str, reason: str) -> None:
        told, repeats = self._failures.get(camera, ("", 0))
        if reason == told:
            self._failures[camera] = reason, repeats + 1
            return
        self._end_failures(camera)
        self._failures[camera] = reason, 0
        self._say_failed(camera, reason)

    def _end_failures(self, camera: str) -> None:
        _, repeats = self._failures.pop(camera, ("", 0))
        if repeats:
            self._say_failed(camera, f"{repeats} more, for the same reason")

    def _say_failed(self, camera: str, text: str) -> None:
        say_to_someone(f"failed: {camera}: {text}" if self._several else f"failed: {text}")
