"""Who may see the page: its token, and which hosts and origins are its own."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aand_edge.config import PageSettings
from aand_edge.errors import UsageError

VARIABLE = "AAND_EDGE_PAGE_TOKEN"
FILE = "page.token"
SHORTEST = 16  # letters; of a token that is made here it is 32


@dataclass(frozen=True)
class Access:
    """What a browser must show.

    token   None: the page asks for none
    names   host names under which it is reached; addresses and localhost always are
    """

    token: str | None
    names: frozenset[str]

    @property
    def cookie(self) -> str:
        """What a browser keeps in place of the token, which cannot be told from it."""
        return hmac.new((self.token or "").encode(), b"aand-edge page", hashlib.sha256).hexdigest()

    def opens(self, token: str | None, cookie: str | None) -> bool:
        """Whether a token or a cookie is right; told in constant time."""
        if self.token is None:
            return True
        given = ((token, self.token), (cookie, self.cookie))
        return any(value is not None and _same(value, wanted) for value, wanted in given)

    def is_own_host(self, host: str) -> bool:
        """Whether a Host header names this machine.

        A foreign page can make its own name point here, but never an address or localhost.
        """
        name = _name(host)
        return name is not None and (name == "localhost" or name in self.names or _is_address(name))

    def is_own_origin(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from this page, or from no page at all."""
        try:
            return origin is None or urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False


def open_access(root: Path, page: PageSettings, environment: Mapping[str, str] = os.environ) -> Access:
    """Raises UsageError where a token is needed and there is none, or one that is easily guessed."""
    path = token_file(root, page)
    token = environment.get(VARIABLE)
    if token is None and path is not None:
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"The page at {page.host} needs a token, and {path} cannot be read ({error})",
                f"Put one of {SHORTEST} letters or more there, or into {VARIABLE}.",
            ) from None
    if token is not None and len(token) < SHORTEST:
        raise UsageError(f"The page's token has {len(token)} letters", f"Take {SHORTEST} or more.")
    own = socket.gethostname().lower()
    return Access(token, frozenset({own, f"{own}.local", page.host.lower(), *(name.lower() for name in page.names)}))


def make_token(root: Path, page: PageSettings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Make a token where one is needed and none is there, and keep it; returns it, so that it is told once.

    Raises UsageError where it cannot be kept: it would be another one after every start.
    """
    path = token_file(root, page)
    if path is None or VARIABLE in environment or path.exists():
        return None
    token = secrets.token_urlsafe(24)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(token + "\n")
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"The page at {page.host} needs a token, and {path} cannot be written ({reason})",
            f"Put one of {SHORTEST} letters or more into {VARIABLE}.",
        ) from None
    return token


def token_file(root: Path, page: PageSettings) -> Path | None:
    """Where the token lies; None where this machine alone can reach the page and no file was named."""
    if page.token_file is not None:
        return root / page.token_file
    return None if is_loopback(page.host) else root / FILE


def is_loopback(host: str) -> bool:
    """Whether a server there can be reached from this machine alone."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str | None:
    """The host's name, without port and brackets; None where it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
