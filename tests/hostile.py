"""What readers are given in place of a file, and what is asked of them: a value, or a sentence with its exit code.

What hypothesis draws depends on the test alone, so that the same examples are tried everywhere.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from aand_edge.errors import AandEdgeError

T = TypeVar("T")

# Anything that JSON can hold where something else belongs; the text forms are what no Python value is written as.
NUMBERS = st.sampled_from([-1, 0, 2**31, 2**63, 10**30, -(10**30), 1.5, float("nan"), float("inf"), float("-inf")])
TEXTS = st.one_of(st.sampled_from(["", "\0", "../../etc", "1e400", "ü" * 300]), st.text(max_size=8))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
RUBBISH = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3))
)
DEEP = "[" * 100_000  # deeper than Python's stack


def bounded(examples: int) -> settings:
    """So many examples, the same in every run."""
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def taken_or_refused(read: Callable[[], T], *codes: int) -> T | None:
    """What `read` returns; None where it refused in a sentence, with a next step and one of these exit codes."""
    try:
        return read()
    except AandEdgeError as refused:
        error = refused
    assert error.exit_code in codes, error
    assert error.message.strip()
    assert error.hint.strip()
    assert "\n" not in error.message + error.hint
    return None


def spoilt(data: bytes, header: int = 64) -> st.SearchStrategy[bytes]:
    """`data` cut off, with bits flipped (each second one in its first `header` bytes), overwritten, or other bytes."""
    anywhere = st.integers(0, len(data) - 1)
    place = st.one_of(st.integers(0, min(header, len(data)) - 1), anywhere)
    flips = st.lists(st.tuples(place, st.integers(0, 7)), min_size=1, max_size=8)
    return st.one_of(
        flips.map(lambda found: _flipped(data, found)),
        st.tuples(place, st.binary(max_size=64)).map(
            lambda put: data[: put[0]] + put[1] + data[put[0] + len(put[1]) :]
        ),
        place.map(lambda end: data[:end]),
        st.binary(max_size=256),
        st.binary(max_size=64).map(lambda tail: data + tail),
    )


def _overwritten(data: bytes, place: int, other: bytes) -> bytes:
    return data[:place] + other + data[place + len(other) :]


def _flipped(data: bytes, flips: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, bit in flips:
        changed[place] ^= 1 << bit
    return bytes(changed)


def retyped(value: Any) -> st.SearchStrategy[str]:
    """JSON text of `value` with one value of another kind, one missing or one too many, anywhere within it."""
    return st.sampled_from([(), *_places(value)]).flatmap(
        lambda path: st.one_of(
            RUBBISH.map(lambda other: json.dumps(_replaced(value, path, other))),
            NUMBERS.map(lambda other: json.dumps(_replaced(value, path, other))),
            st.just(json.dumps(_without(value, path))),
            TEXTS.map(lambda key: json.dumps(_with(value, path, key))),
            st.sampled_from(["1e400", "1" * 5000, DEEP, '"\\ud800"', '{"a":' * 3000]).map(
                lambda text: json.dumps(_replaced(value, path, "HERE")).replace('"HERE"', text)
            ),
        )
    )


Place = tuple[Any, ...]


def _places(value: Any, path: Place = ()) -> Iterator[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, (*path, key))


def _changed(value: Any, path: Place, change: Callable[[Any, Any], None]) -> Any:
    copied = json.loads(json.dumps(value))
    inner = copied
    for each in path[:-1]:
        inner = inner[each]
    change(inner, path[-1])
    return copied


def _replaced(value: Any, path: Place, other: Any) -> Any:
    return _changed(value, path, lambda inner, key: inner.__setitem__(key, other)) if path else other


def _without(value: Any, path: Place) -> Any:
    return _changed(value, path, lambda inner, key: inner.__delitem__(key)) if path else {}


def _with(value: Any, path: Place, key: str) -> Any:
    """With another key in the table that lies at `path`, or around it."""
    for end in range(len(path), -1, -1):
        inner = value
        for each in path[:end]:
            inner = inner[each]
        if isinstance(inner, dict):
            return _replaced(value, path[:end], {**inner, key: 1})
    return [value]


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """Fails where the process grew by more than that at any time within the block."""
    before = _reset_peak()
    yield
    grown = (_peak() - before) / 1024
    assert grown < megabytes, f"the process grew by {grown:.0f} MB"


def _reset_peak() -> int:
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return _peak()


def _peak() -> int:
    """Kilobytes."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
