"""A port that cannot be had: for now, or for ever."""

from __future__ import annotations

import errno
import re

from aand_edge.errors import AandEdgeError, UsageError
from aand_edge.runtime.sources.redact import redact

NEVER = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EAFNOSUPPORT}  # a port of the system's, an address that is none
NAMED = re.compile(r"^[^/]*://[^/?#]*:(\d+)(?=[/?#]|$)")  # no further: a path may hold a secret
LARGEST = 65535


def unavailable(what: str, host: str, port: int, error: OSError | OverflowError) -> AandEdgeError:
    """UsageError (exit 2) where it can never be had; otherwise exit 1, which a service is started again after.

    Another program may leave the port, and after a boot the network may not be up yet: neither is a mistake.
    """
    sentence = f"{what} at {host}:{port} ({getattr(error, 'strerror', None) or error})"
    if isinstance(error, OverflowError) or error.errno in NEVER:
        return UsageError(sentence, "Take another port or host.")
    return AandEdgeError(sentence, "See what else has that port and whether the network is up, or take another.")


def check_port(uri: str) -> None:
    """Raises UsageError where a URI names a port that no machine has."""
    named = NAMED.match(redact(uri))
    if named and int(named[1]) > LARGEST:
        raise UsageError(f"The port of '{named[0]}' is out of range", f"Take one up to {LARGEST}.")
