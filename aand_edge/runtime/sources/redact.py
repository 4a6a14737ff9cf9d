"""What may be said of a URI: not who logs in, and not with which password."""

from __future__ import annotations

import re

USER = re.compile(r"(?<=://)[^/\s]*@")
SECRET = re.compile(r"(?i)\b((?:pass(?:word|wd)?|pwd|token|secret|key|user(?:name)?|auth)[a-z_]*)=[^&\s]+")


def redact(text: str) -> str:
    """The text with the credentials of each URI in it replaced by ***."""
    return SECRET.sub(r"\1=***", USER.sub("***@", text))
