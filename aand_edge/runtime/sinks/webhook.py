"""Events to an HTTP address, one POST each."""

from __future__ import annotations

import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.runtime.events import Event
from aand_edge.runtime.ports import check_port
from aand_edge.runtime.sinks.payload import is_rejected, json_bytes

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
LEAVE_S = 0.6  # under `stopping.SINKS_S`
SECRET = re.compile(r"\$(\w+)")
HEADER, VALUE = re.compile(r"[!#$%&'*+.^`|~\w-]+", re.ASCII), re.compile(r"[ -~\xa0-\xff]*")
WORTH_A_RETRY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class WebhookSink:
    """Posts events as JSON, in order, from a thread of its own; `append` never waits for the network.

    url            http or https; a redirection counts as a failure, since it would turn the POST into a GET
    only_rejects   post rejected parts alone, not every event
    timeout_s      of one attempt
    retries        after the first attempt, each after twice the wait of the one before, from 0.5 to 30 s; an answer
                   that says the request itself is wrong (4xx) is not tried again
    headers        sent with each request, such as Authorization
    queue          events that may wait; then the oldest is given up

    What was given up is counted in `given_up`, and the next `append` raises and says why. On leaving, what is queued
    gets `LEAVE_S`, and what is left is given up, with the event whose answer has not come by then.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        only_rejects: bool = True,
        timeout_s: float = 5,
        retries: int = 5,
        headers: Mapping[str, str] | None = None,
        queue: int = 1000,
    ) -> None:
        self._host = _host(url)
        if timeout_s <= 0 or retries < 0 or queue < 1:
            raise UsageError(
                "A webhook needs time, and room in its queue", "Make timeout_s and queue positive, retries 0 or more."
            )
        self.delivered = 0
        self.given_up = 0
        self._url = url
        self._only_rejects = only_rejects
        self._timeout = timeout_s
        self._attempts = retries + 1
        self._headers = {"Content-Type": "application/json", "User-Agent": "aand-edge", **(headers or {})}
        self._queue: deque[bytes] = deque()
        self._room = queue
        self._changed = threading.Condition()
        self._leaving = threading.Event()
        self._under_way = False  # an event that was posted, and neither delivered nor given up yet
        self._complaint: str | None = None

    @property
    def lost(self) -> int:
        """As `base.Keeping` asks: an `append` that raises keeps its event."""
        return self.given_up

    def __enter__(self) -> WebhookSink:
        self._leaving.clear()
        self._thread = threading.Thread(target=self._run, name="aand-webhook", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._deadline = time.monotonic() + LEAVE_S
            self._leaving.set()
            self._changed.notify()
        # A request that is under way cannot be broken off; the thread then ends by itself after timeout_s.
        self._thread.join(LEAVE_S)
        with self._changed:
            self.given_up += len(self._queue) + self._under_way
            self._queue.clear()
            self._under_way = False

    def append(self, event: Event) -> None:
        """Queue an event. Raises AandEdgeError for events that were given up since the last call."""
        if self._only_rejects and not is_rejected(event):
            return
        with self._changed:
            if len(self._queue) == self._room:
                self._queue.popleft()
                self._give_up("its queue is full")
            self._queue.append(json_bytes(event))
            self._changed.notify()
            complaint, self._complaint = self._complaint, None
        if complaint is not None:
            raise AandEdgeError(complaint, "See whether it is reachable and takes JSON.")

    def _give_up(self, reason: str) -> None:
        self.given_up += 1
        self._complaint = f"The webhook {self._host} did not take an event ({reason})"

    def _run(self) -> None:
        opener = urllib.request.build_opener(_NoRedirection)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._leaving.is_set())
                if not self._queue or (self._leaving.is_set() and time.monotonic() > self._deadline):
                    return
                body, self._under_way = self._queue.popleft(), True
            self._deliver(opener, body)

    def _deliver(self, opener: urllib.request.OpenerDirector, body: bytes) -> None:
        reason, wait = "", FIRST_WAIT_S
        for attempt in range(self._attempts):
            if attempt and self._leaving.wait(wait):
                break
            wait = min(2 * wait, LONGEST_WAIT_S) if attempt else wait
            refused, reason = self._post(opener, body)
            if refused or not reason:
                break
        with self._changed:
            if not self._under_way:
                return  # `__exit__` did not wait for the answer, and counted it
            self._under_way = False
            if reason:
                self._give_up(reason)
            else:
                self.delivered += 1

    def _post(self, opener: urllib.request.OpenerDirector, body: bytes) -> tuple[bool, str]:
        """One attempt. Returns whether another would be pointless, and what went wrong, or nothing."""
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            with opener.open(request, timeout=self._timeout):
                return False, ""
        except urllib.error.HTTPError as error:
            error.close()
            pointless = error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in WORTH_A_RETRY
            return pointless, f"HTTP {error.code}"
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            return False, str(getattr(reason, "strerror", None) or reason) or type(error).__name__
        except Exception as error:  # the thread goes on whatever it is: the next event may pass
            return True, type(error).__name__  # its text may show the url, and that a secret


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> None:
        """None makes urllib raise the answer as an error."""


def _host(url: str) -> str:
    """The address without path and query, which may hold a secret. Raises UsageError for what is no web address."""
    if not re.fullmatch("[!-~]+", url):
        raise UsageError(
            "The webhook's url holds letters that no web address has",
            "Write them as percent signs and numbers (%20 for a space, %C3%9F for ß), a host's as xn--….",
        )
    check_port(url)
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        known = False
    if not known or not parts.hostname:
        raise UsageError("The webhook's url is no web address", "Begin it with http:// or https:// and a host.")
    if parts.username is not None:
        hint = "Send it as Authorization, in headers of [run.webhook]."
        raise UsageError("The webhook's url holds a password", hint)
    return parts.hostname


def with_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, with what the environment holds in place of each value that is "$NAME".

    Raises UsageError where it holds nothing, and for what is no header; a value is told to no one.
    """
    found = {name: _from_environment(name, value) for name, value in headers.items()}
    for name, value in found.items():
        if not HEADER.fullmatch(name) or not VALUE.fullmatch(value):
            raise UsageError(
                f"The webhook's header {name!r} cannot be sent",
                "Leave out line breaks and what Latin-1 has not, and in its name spaces and colons.",
            )
    return found


def _from_environment(header: str, value: str) -> str:
    named = SECRET.fullmatch(value)
    if named is None:
        return value
    secret = os.environ.get(named[1], "").strip()
    if not secret:
        raise UsageError(
            f"The webhook's header {header!r} is ${named[1]}, which the environment does not have",
            f"Set {named[1]} where aand-edge is started.",
        )
    return secret
