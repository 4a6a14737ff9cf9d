"""Where a served engine is: `triton://HOST:PORT/MODEL?timeout_ms=1000`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from aand_edge.errors import UsageError

SCHEME = "triton://"
PORT = 8001  # Triton's own for gRPC
TIMEOUT_MS = 2000.0


@dataclass(frozen=True)
class TritonUri:
    """A model of a server.

    timeout_ms   how long an answer may take; after it the engine counts as failed
    """

    host: str
    port: int
    model: str
    timeout_ms: float = TIMEOUT_MS

    @classmethod
    def parse(cls, text: str) -> TritonUri:
        """Raises UsageError where it is no such address."""
        advice = f"Write it as {SCHEME}HOST:{PORT}/MODEL, and ?timeout_ms=1000 behind it if need be."
        try:
            parts = urlsplit(text.strip())
            port, options = parts.port or PORT, parse_qs(parts.query, strict_parsing=bool(parts.query))
            timeout = float(options.pop("timeout_ms", [str(TIMEOUT_MS)])[-1])
        except ValueError as error:
            raise UsageError(f"'{text}' is no address of a Triton model: {error}", advice) from None
        model = parts.path.strip("/")
        if (
            parts.scheme != "triton"
            or not parts.hostname
            or not model
            or "/" in model
            or "@" in parts.netloc
            or options
        ):
            raise UsageError(f"'{text}' is no address of a Triton model", advice)
        if not 0 < timeout < 1e7:
            raise UsageError(f"A server cannot answer within {timeout:g} ms", advice)
        return cls(parts.hostname, port, model, timeout)

    @property
    def server(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def stem(self) -> str:
        """What the engine is called, as a file's stem names an engine on disk."""
        return self.model

    def __str__(self) -> str:
        wait = "" if self.timeout_ms == TIMEOUT_MS else f"?timeout_ms={self.timeout_ms:g}"
        return f"{SCHEME}{self.server}/{self.model}{wait}"
