"""`rtsp://…`, and pictures over http: a camera of the network, through FFmpeg."""

from __future__ import annotations

from urllib.parse import urlsplit

import cv2

from aand_edge.errors import SourceError, UsageError
from aand_edge.runtime.ports import check_port
from aand_edge.runtime.sources.base import Grab, SourceOptions, refuse_options
from aand_edge.runtime.sources.capture import Capture
from aand_edge.runtime.sources.redact import redact

OPEN_MS, READ_MS = 8000.0, 4000.0  # below the deadlines of `Camera`, which kills what keeps neither


class RtspSource:
    """A stream. Its credentials are in its URI, and are told to no one."""

    live = True

    def __init__(self, uri: str, options: SourceOptions) -> None:
        """Raises UsageError for an address that cannot be one."""
        refuse_options("a stream", options)
        check_port(uri)
        if not _is_address(uri):
            raise UsageError(
                f"{redact(uri)} is no address of a stream",
                "Give it a host, as in rtsp://10.0.0.7/1, and write / and @ of a password as %2F and %40.",
            )
        self._uri, self._told = uri, f"The stream {redact(uri)}"
        self._capture: Capture | None = None

    def open(self) -> None:
        wanted = {cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC: READ_MS}
        self._capture = Capture(self._uri, cv2.CAP_FFMPEG, wanted, self._told)

    def read(self) -> Grab | None:
        assert self._capture is not None
        grab = self._capture.read()
        if grab is None:
            raise SourceError(f"{self._told} ended", "It is opened again.")
        return grab

    def close(self) -> None:
        if self._capture is not None:
            self._capture.close()


def _is_address(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:  # brackets that do not close, a port or a name that is none
        return False
