"""A port of this machine that cannot be had: for now, or for ever."""

from __future__ import annotations

import errno

from aand_edge.errors import AandEdgeError, UsageError

NEVER = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EAFNOSUPPORT}  # a port of the system's, an address that is none


def unavailable(what: str, host: str, port: int, error: OSError | OverflowError) -> AandEdgeError:
    """UsageError (exit 2) where it can never be had; otherwise exit 1, which a service is started again after.

    Another program may leave the port, and after a boot the network may not be up yet: neither is a mistake.
    """
    sentence = f"{what} at {host}:{port} ({getattr(error, 'strerror', None) or error})"
    if isinstance(error, OverflowError) or error.errno in NEVER:
        return UsageError(sentence, "Take another port or host.")
    return AandEdgeError(sentence, "See what else has that port and whether the network is up, or take another.")
