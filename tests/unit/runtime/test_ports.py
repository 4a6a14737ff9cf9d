"""What passes by itself ends with exit code 1, since the service is not started again after 2."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from aand_edge.config import PageSettings
from aand_edge.errors import AandEdgeError
from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.ports import unavailable
from aand_edge.runtime.sinks.live_page import LivePageSink
from aand_edge.runtime.sinks.metrics import MetricsSink
from aand_edge.runtime.triggers.tcp import TcpLine

ELSEWHERE = "192.0.2.7"  # RFC 5737: an address that no machine has


def served() -> object:
    return LivePageSink(PageSettings(host=ELSEWHERE), Access("", frozenset()), "engine", {}).__enter__()


def measured() -> object:
    pytest.importorskip("prometheus_client")
    return MetricsSink(ELSEWHERE, 0).__enter__()


def heard() -> object:
    return TcpLine(ELSEWHERE, 0).join(lambda moment, part: True)


@pytest.mark.parametrize("open_port", [served, measured, heard])
def test_an_address_that_the_network_has_not_given_yet_may_come(open_port: Callable[[], object]) -> None:
    with pytest.raises(AandEdgeError, match=rf"at {ELSEWHERE}:\d+ \(Cannot assign requested address") as raised:
        open_port()
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)), 1),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), 2),
        (OverflowError("bind(): port must be 0-65535."), 2),
    ],
)
def test_a_port_that_can_never_be_had_is_a_mistake(error: OSError | OverflowError, code: int) -> None:
    told = unavailable("The page cannot be served", "127.0.0.1", 80, error)
    assert told.exit_code == code
    assert str(getattr(error, "strerror", None) or error) in str(told)
