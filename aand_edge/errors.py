"""Every error a user can meet, and the exit code it ends the command with.

    AandEdgeError                   1   the job failed
    ├── DataError                   1   pictures or masks that cannot be used
    ├── TrainingError               1   training cannot go on (a loss that is not finite)
    ├── SourceError                 1   a camera or stream cannot be opened, or was lost
    ├── GateError                   1   the reject gate does not answer
    ├── EngineFailedError           1   the engine failed, and failed again after it was opened afresh
    ├── UsageError                  2   an option, a path or the workspace file is wrong
    ├── MissingDependencyError      3   a package, a driver or a device is not there
    ├── ArtefactMismatchError       4   a file is not the one its record speaks of
    ├── AccuracyBudgetError         5   the engine loses more accuracy than was allowed
    └── LatencyBudgetError          6   the engine is slower than was allowed

A message is one sentence that says what is wrong; `hint` is the next step. Nothing else reaches the user:
the command line prints `message. hint` and ends with `exit_code`.
"""

from __future__ import annotations

from typing import ClassVar


class AandEdgeError(Exception):
    """The job failed. Base of every error that aand-edge raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.hint}".strip() if self.hint else self.message


class DataError(AandEdgeError):
    """Pictures or masks cannot be used; the message names the files."""


class TrainingError(AandEdgeError):
    """Training cannot go on; what was saved before is kept."""


class SourceError(AandEdgeError):
    """A camera or stream cannot be opened, or was lost; it is tried again."""


class GateError(AandEdgeError):
    """The reject gate does not answer."""


class EngineFailedError(AandEdgeError):
    """The engine failed, and failed again after it was opened afresh; nobody judges any more."""


class UsageError(AandEdgeError):
    """An option, a path or the workspace file is wrong."""

    exit_code = 2


class MissingDependencyError(AandEdgeError):
    """A package, a driver or a device that this command needs is not there."""

    exit_code = 3


class ArtefactMismatchError(AandEdgeError):
    """A file on disk is not the one that its card or manifest speaks of."""

    exit_code = 4


class AccuracyBudgetError(AandEdgeError):
    """The engine loses more accuracy than `--max-drop` allows."""

    exit_code = 5


class LatencyBudgetError(AandEdgeError):
    """The engine is slower than `--budget-ms` allows."""

    exit_code = 6
