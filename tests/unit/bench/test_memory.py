import functools
import importlib
from dataclasses import replace

import pytest

from aand_edge.bench import memory
from aand_edge.bench.memory import measure_memory

pytestmark = pytest.mark.skipif(not memory.STATUS.exists(), reason="needs /proc")

MODULE = """
import os
import numpy as np


class Heavy:
    def __init__(self, mebibytes):
        self.weights = np.ones(mebibytes << 20, dtype=np.uint8)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def infer(self, frames):
        assert frames.shape == (1, 16, 16, 3)


def broken():
    raise ValueError("no such engine")


def killed():
    os._exit(9)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that a child process can import too."""
    (tmp_path / "heavy_runner.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("heavy_runner")


def test_the_child_gains_what_the_engine_holds(module, contender):
    measured = measure_memory(replace(contender(), load=functools.partial(module.Heavy, 200)))
    assert measured.reason == ""
    assert 195 < measured.mebibytes < 260


def test_an_engine_that_fails_in_the_child_has_no_figure_but_a_reason(module, contender):
    measured = measure_memory(replace(contender(), load=module.broken))
    assert measured.mebibytes is None
    assert "ValueError: no such engine" in measured.reason


def test_a_child_that_is_killed_has_no_figure_but_a_reason(module, contender):
    measured = measure_memory(replace(contender(), load=module.killed))
    assert measured.mebibytes is None
    assert "ended early" in measured.reason


def test_a_loader_that_cannot_be_sent_to_a_child_has_no_figure_but_a_reason(contender, runner):
    measured = measure_memory(contender(runner()))
    assert measured.mebibytes is None
    assert "cannot be loaded in a process of its own" in measured.reason


def test_a_system_without_proc_has_no_figure_but_a_reason(contender, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "missing")
    measured = measure_memory(contender())
    assert measured.mebibytes is None
    assert "/proc" in measured.reason
