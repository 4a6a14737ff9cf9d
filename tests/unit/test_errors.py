"""The error tree that the docstring draws is the one there is."""

from __future__ import annotations

import re

import pytest

from aand_edge import errors
from aand_edge.cli.failure import explain
from aand_edge.errors import AandEdgeError


def test_the_docstring_draws_the_real_tree() -> None:
    drawn = dict(re.findall(r"(\w+Error)\s+(\d)\s", errors.__doc__ or ""))
    real = {
        name: str(each.exit_code)
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, AandEdgeError)
    }
    assert drawn == real


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (errors.UsageError("No such thing", "Try another."), 2, "error: No such thing. Try another."),
        (errors.ArtefactMismatchError("a differs from b"), 4, "error: a differs from b"),
        (KeyboardInterrupt(), 130, "interrupted: what was written is whole"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 3, "pip install 'aand-edge[train]'"),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), 3, "pip install 'aand-edge[opencv]'"),
        (OSError(28, "No space left on device", "/data/x"), 1, "No space left on device (/data/x)"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), 1, "error: out of memory. Take"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "error: out of memory. Take"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError: division by zero"),
    ],
)
def test_every_error_ends_in_a_sentence_and_a_code(
    error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(error) == code
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
