"""A plugin for `make edge-test`: on a machine without PyTorch, the tests that need them are skipped.

A test is not skipped where what misses them is the edge's own: there that is the fault that the run looks for.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Generator
from typing import Any

import pytest

TRAINING = {"torch", "torchvision", "onnxscript", "onnxsim", "safetensors"}
EDGE = re.compile(r"aand_edge/(engines|runtime|config|artifacts|graph_facts|errors)\b")


def missing(told: str) -> str | None:
    """Which of them a failure with this traceback misses; None where it is another failure, or the edge's."""
    found = re.search(r"No module named '(\w+)", told)
    return found[1] if found and found[1] in TRAINING and not EDGE.search(told) else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that cannot be imported."""
    report = yield
    if report.failed and (name := missing(str(report.longrepr))):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {name} is not installed")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    """A fixture that imports what is not there."""
    return (yield from _skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """A test that does."""
    return (yield from _skipping())


def _skipping() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except ModuleNotFoundError as error:
        if name := missing("".join(traceback.format_exception(error))):
            pytest.skip(f"{name} is not installed")
        raise
