"""The loop's word to systemd that it turns, given by the thread that judges: no word, and the service is started again.

A frame or an engine that holds that thread for ever is found so. A camera that is away holds nothing: the loop looks
around five times a second without frames too. The protocol is sd_notify(3): lines of NAME=value in a datagram.
In a container, where nobody speaks it, a file is touched instead, which `deploy/health.sh` looks at.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from aand_edge.runtime.loop import LoopSettings

LOG = logging.getLogger("aand_edge.runtime")

STARTING_S = 300.0  # how long one step before the first frame may take, such as loading an engine
WORD_S = 1.0  # between two words, and less where WatchdogSec is under 4 s
STATUS_S = 5.0  # between two lines for `systemctl status`
HEARTBEAT = "AAND_EDGE_HEARTBEAT"
LOADS = 3.0  # the engine may be opened afresh between two words, and take so many times as long as at the start


class ServiceManager:
    """Who started this process and listens to it; where nobody did, what is told goes nowhere.

    address     of its socket: a path, or @NAME in the abstract namespace
    patience_s  how long it waits for a word before it kills; None: for ever
    heartbeat   file that each word touches; it holds the number of this process
    """

    def __init__(self, address: str | None, patience_s: float | None = None, heartbeat: Path | None = None) -> None:
        self.patience_s, self.heartbeat = patience_s, heartbeat
        self._socket: socket.socket | None = None
        if not address:
            return
        if address[0] not in "/@" or not hasattr(socket, "AF_UNIX"):
            LOG.warning("NOTIFY_SOCKET is %s, which is no unix socket: nothing is told there", address)
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._address = f"\0{address[1:]}" if address[0] == "@" else address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceManager:
        """As sd_notify and sd_watchdog_enabled read it: a watchdog that is another process's is none of ours."""
        patience = None
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            with suppress(ValueError):
                patience = int(environment.get("WATCHDOG_USEC", "")) / 1e6
        heartbeat = environment.get(HEARTBEAT)
        return cls(environment.get("NOTIFY_SOCKET"), patience or None, Path(heartbeat) if heartbeat else None)

    def tell(self, **values: str | int) -> None:
        """Send NAME=value lines. Never waits and never raises: parts go on being judged where nobody listens."""
        if self.heartbeat is not None and "WATCHDOG" in values:
            self._touch(self.heartbeat)
        if self._socket is None:
            return
        lines = (f"{name}={str(value).replace(chr(10), ' ')}" for name, value in values.items())
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            LOG.debug("the service manager was not told: %s", error)

    def _touch(self, heartbeat: Path) -> None:
        try:
            heartbeat.write_text(f"{os.getpid()}\n")
        except OSError as error:
            LOG.debug("the heartbeat was not written: %s", error)

    def __enter__(self) -> ServiceManager:
        if self.heartbeat is not None:
            with suppress(OSError):
                self.heartbeat.unlink(missing_ok=True)  # an earlier process's: it would speak for this one
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()


class Watchdog:
    """What the loop tells, in this order: `starting` before each step, `ready`, `beat` between frames, `stopping`.

    status   a line for `systemctl status`
    """

    def __init__(self, manager: ServiceManager, status: Callable[[], str] = lambda: "") -> None:
        self._manager, self._status = manager, status
        self._began = time.monotonic()
        self._word_s = WORD_S if manager.patience_s is None else min(WORD_S, manager.patience_s / 4)
        self._told = self._told_status = 0.0
        self._asked = False

    def starting(self, step: str) -> None:
        """A step begins that may take `STARTING_S`, whatever TimeoutStartSec says."""
        self._manager.tell(STATUS=step, EXTEND_TIMEOUT_USEC=_microseconds(STARTING_S))

    def ready(self) -> None:
        """Frames are judged from now on."""
        patience, wanted = self._manager.patience_s, LOADS * (time.monotonic() - self._began)
        if (patience or self._manager.heartbeat) and not faulthandler.is_enabled():
            faulthandler.enable()  # who kills does it with SIGABRT, and the log then says where each thread stood
        if patience is not None and patience < wanted:
            LOG.warning("loading took %.0f s: WatchdogSec is raised to %.0f s", wanted / LOADS, wanted)
            self._manager.tell(WATCHDOG_USEC=_microseconds(wanted))
        self._manager.tell(READY=1, WATCHDOG=1, STATUS=self._status())
        self._told = self._told_status = time.monotonic()

    def reloading(self) -> None:
        """Settings are to be read again; from a signal handler too. `around` says when they were."""
        self._manager.tell(RELOADING=1, MONOTONIC_USEC=_microseconds(time.monotonic()))
        self._asked = True

    def around(self, look: Callable[[LoopSettings], LoopSettings]) -> Callable[[LoopSettings], LoopSettings]:
        """`look` for `Loop.look_around`, followed by the loop's word."""

        def looked(settings: LoopSettings) -> LoopSettings:
            asked, self._asked = self._asked, False
            settings = look(settings)
            if asked:
                self._manager.tell(READY=1)
            self.beat()
            return settings

        return looked

    def beat(self) -> None:
        """The loop turns. Called between any two frames, and sent about once a second."""
        moment = time.monotonic()
        if moment - self._told < self._word_s:
            return
        self._told = moment
        if moment - self._told_status < STATUS_S:
            self._manager.tell(WATCHDOG=1)
            return
        self._told_status = moment
        self._manager.tell(WATCHDOG=1, STATUS=self._status())

    def stopping(self) -> None:
        """The loop ends; from a signal handler too."""
        self._manager.tell(STOPPING=1, STATUS="ends when what waits is judged")


def _microseconds(seconds: float) -> int:
    return int(seconds * 1e6)
