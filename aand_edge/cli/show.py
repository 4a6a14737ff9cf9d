"""What a person sees: tables on stdout, progress on stderr, JSON alone on stdout when it is asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from aand_edge.artifacts import Threshold

WIDEST = 1 << 16  # columns where the answer goes to a file or a pipe: as many as it needs

Tick = Callable[[int, int], None]  # done, of how many


def say(sentence: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def answer(value: dict[str, Any], as_json: bool, table: RenderableType | None = None) -> None:
    """The command's answer: JSON where it was asked for, otherwise the table."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    elif table is not None:
        # Paths may hold square brackets and colons, which are no markup and no emoji.
        terminal = sys.stdout.isatty()
        console = Console(width=None if terminal else WIDEST, markup=False, emoji=False)
        if terminal or isinstance(table, str):
            console.print(table, soft_wrap=isinstance(table, str))
            return
        with console.capture() as printed:
            console.print(table)
        # Each row is filled up to the longest one.
        sys.stdout.write("\n".join(line.rstrip() for line in printed.get().split("\n")))


def facts(title: str, rows: Sequence[tuple[str, object]]) -> Group:
    """A table of names and values, under a line with its title: the table's own would be folded at its width."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")  # a path that is longer than a terminal's line goes on in the next
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, "–" if value is None else str(value))
    return Group(Text(title, style="table.title"), table)


def rows_of(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Nested values as rows that a person reads: dotted names, yes and no, long lists counted.

    A frame (height, width) and a region are shown as the options --frame and --roi take them.
    """
    rows: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += rows_of(value, f"{prefix}{key}.")
        elif key == "frame" and value:
            rows.append((prefix + key, f"{value[1]}x{value[0]}"))
        elif key == "roi" and value:
            rows.append((prefix + key, ",".join(map(str, value))))
        else:
            rows.append((prefix + key, _words(value)))
    return rows


def _words(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        counted = any(isinstance(each, Mapping) for each in value) or (len(value) > 4 and not isinstance(value[0], str))
        return (
            f"{len(value)} value{'' if len(value) == 1 else 's'}"
            if counted
            else ", ".join(map(_words, value)) or "none"
        )
    return str(value)


def percent(value: float | None) -> str:
    """0.9131 → 91.3 %; None → –."""
    return "–" if value is None else f"{100 * value:.1f} %"


def promise(threshold: Threshold) -> str:
    """What a threshold promises of good parts, as a clause."""
    from aand_edge.evaluation.threshold import CONFIDENCE, false_rejects_bound

    bound = false_rejects_bound(threshold)
    if bound is not None:
        average, sure = percent(threshold.promised_false_rejects), f"{100 * CONFIDENCE:.0f} %"
        return f"rejects at most {average} of good parts on average, with {sure} confidence {percent(bound)}"
    chosen = "set by hand" if threshold.rule == "manual" else f"read from labelled parts ({threshold.rule})"
    return f"{chosen}, and promises nothing"


def _bars() -> Progress:
    """Bars on stderr; none in a log, which would cut them off: there a line is said instead."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=not console.is_terminal,
    )


def _advance(bars: Progress, task: TaskID, done: int, total: int) -> None:
    ended = bars.tasks[task].finished
    bars.update(task, completed=done, total=total)
    if bars.disable and bars.tasks[task].finished and not ended:
        say(f"{bars.tasks[task].description}: {done} of {total}")


@contextmanager
def ticking(what: str) -> Iterator[Tick]:
    """A progress bar on stderr for something that counts; none where nothing was to do."""
    bars = _bars()

    def tick(done: int, total: int) -> None:
        if not bars.tasks:
            bars.add_task(what, total=total, note="")
            bars.start()
        _advance(bars, bars.tasks[0].id, done, total)

    try:
        yield tick
    finally:
        if bars.tasks:
            bars.stop()


STAGES = {"amplify": "1 amplify", "distill": "2 distil"}


class TrainingBars:
    """Progress of both stages: batches, time left and the losses of the last epoch. A `loop.Watcher`."""

    def __init__(self) -> None:
        self.bars = _bars()
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> TrainingBars:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def warned(self, sentence: str) -> None:
        say(f"warning: {sentence}")

    def resumed(self, stage: str, epoch: int) -> None:
        say(f"going on with an interrupted training: stage {STAGES[stage]}, after epoch {epoch}")

    def epoch_done(self, stage: str, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        note = f"epoch {epoch}/{epochs}  " + "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self.bars.update(self._task(stage), note=note)
        if self.bars.disable:
            say(f"{STAGES[stage]}  {note}")

    def batch_done(self, stage: str, epoch: int, epochs: int, batch: int, batches: int) -> None:
        self.bars.update(self._task(stage), completed=epoch * batches + batch, total=epochs * batches)

    def _task(self, stage: str) -> TaskID:
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(STAGES[stage], total=None, note="")
        return self.tasks[stage]


@contextmanager
def staging() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr for work in several stages, one bar each."""
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def tick(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=None, note="")
            _advance(bars, tasks[stage], done, total)

        yield tick
