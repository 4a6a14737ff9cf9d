"""What may be said of a URI: not who logs in, and not with which password."""

from __future__ import annotations

import re

# A password with a slash in it ends the host too early, and the URI does not work: its error is told all the same.
USER = re.compile(r"(?<=://)(?:[^/\s]*|[^/:\s]*:(?!\d+/)\S*)@")
SECRET = re.compile(r"(?i)\b((?:pass(?:word|wd)?|pwd|token|secret|key|user(?:name)?|auth)[a-z_]*)=[^&\s]+")


def redact(text: str) -> str:
    """The text with the credentials of each URI in it replaced by ***."""
    return SECRET.sub(r"\1=***", USER.sub("***@", text))
