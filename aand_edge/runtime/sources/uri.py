"""One way to name every source: `v4l2://`, `csi://`, `rtsp://`, `genicam://`, `test://`, `file://`, a path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

from aand_edge.errors import UsageError
from aand_edge.runtime.sources.base import Source, SourceOptions
from aand_edge.runtime.sources.redact import redact

STREAMS = ("rtsp", "rtsps", "http", "https")
ISOLATED = ("v4l2", "csi", "genicam", *STREAMS)  # whose reads may block for ever


def split(uri: str) -> tuple[str, str]:
    """(scheme, the rest); a bare number is a v4l2 camera, anything without a scheme a path."""
    if uri.isdecimal():
        return "v4l2", uri
    scheme, mark, rest = uri.partition("://")
    return (scheme.lower(), rest) if mark else ("file", uri)


def open_source(uri: str, options: SourceOptions) -> Source:
    """The source of a URI, not opened yet.

    Raises UsageError for a URI or an option that can never work, MissingDependencyError where a package is missing.
    """
    scheme, rest = split(uri)
    if scheme == "file":
        return _files(rest, options)
    if scheme == "test":
        from aand_edge.runtime.sources.rendered import RenderedSource

        return RenderedSource(dict(parse_qsl(rest.lstrip("/?"), keep_blank_values=True)), options)
    if scheme == "v4l2" and rest:
        from aand_edge.runtime.sources.v4l2 import V4l2Source

        return V4l2Source(rest, options)
    if scheme == "csi" and rest.isdecimal():
        from aand_edge.runtime.sources.csi import CsiSource

        return CsiSource(int(rest), options)
    if scheme == "genicam" and rest:
        from aand_edge.runtime.sources.genicam import GenicamSource

        return GenicamSource(rest, options)
    if scheme in STREAMS and rest:
        from aand_edge.runtime.sources.rtsp import RtspSource

        return RtspSource(uri, options)
    raise UsageError(
        f"There is no source '{redact(uri)}'",
        "Take v4l2:///dev/video0, csi://0, rtsp://…, genicam://SERIAL, test://, a video, a folder or a picture.",
    )


def _files(where: str, options: SourceOptions) -> Source:
    from aand_edge.runtime.sources.pictures import PictureSource
    from aand_edge.runtime.sources.video import SUFFIXES, VideoSource

    if Path(where).suffix.lower() in SUFFIXES:
        return VideoSource(Path(where), options)
    return PictureSource(where, options)
