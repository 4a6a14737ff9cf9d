"""An event as bytes, and the camera and the moment that it speaks of."""

from __future__ import annotations

import json
from datetime import datetime

from aand_edge.runtime.events import Event, Inspected, Noticed


def json_bytes(event: Event) -> bytes:
    """One line of JSON in UTF-8, without the line's end."""
    # A file name that is no UTF-8 arrives with lone surrogates; written as \udcXX they are JSON again.
    return json.dumps(event.to_dict(), ensure_ascii=False).encode("utf-8", "backslashreplace")


def camera_of(event: Event) -> str | None:
    """The camera's name; None where an event speaks of none."""
    if isinstance(event, Noticed):
        return None
    return event.frame.camera if isinstance(event, Inspected) else event.camera


def time_of(event: Event) -> datetime:
    """The wall clock, UTC: of a judged frame its capture."""
    return event.frame.time if isinstance(event, Inspected) else event.time


def is_rejected(event: Event) -> bool:
    """Whether a judged part was pushed off, or its verdict came too late to push it off."""
    return isinstance(event, Inspected) and (event.rejected or event.verdict.rejected)
