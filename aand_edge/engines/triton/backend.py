"""The backend `triton`: a server's model, accepted on held-out pictures as that server answers.

Its engine file is the model's address. What the server runs was put there by `aand-edge export --triton DIR`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aand_edge.artifacts import sha256_file
from aand_edge.engines.base import Backend, BuildOptions, BuiltEngine, Difference, differing, refuse_options
from aand_edge.engines.triton.repository import PROTOCOL
from aand_edge.engines.triton.runner import EXPORT, TritonRunner, ask, missing
from aand_edge.engines.triton.uri import SCHEME, TritonUri
from aand_edge.errors import ArtefactMismatchError, UsageError


class Triton(Backend):
    """The backend; see `base.Backend`."""

    name = "triton"
    suffix = ".triton"

    def available(self) -> str | None:
        return missing()

    def version(self) -> str:
        return PROTOCOL

    def device(self) -> dict[str, str]:
        return {}  # nothing of this machine matters: the server's facts are read from it

    def differences(self, built: Mapping[str, str]) -> list[Difference]:
        return differing(built, _facts(TritonUri.parse(built["server"])))

    def int8_weight_bits(self) -> int:
        return 8

    def build(self, graph: Path, options: BuildOptions) -> BuiltEngine:
        """Raises ArtefactMismatchError where the server's model was made of another graph."""
        refuse_options(self.name, options, "server")
        if not options.server:
            raise UsageError("The backend triton needs a server", f"Name its model: --server {SCHEME}HOST:8001/MODEL.")
        uri = TritonUri.parse(options.server)
        served = ask(uri).manifest
        if served.graph_sha256 != (here := sha256_file(graph)):
            raise ArtefactMismatchError(
                f"{uri} was made of a graph with SHA-256 {served.graph_sha256[:12]}…, {graph.name} has {here[:12]}…",
                EXPORT,
            )
        return BuiltEngine(
            plan=f"{uri}\n".encode(),
            executed=served.executed,
            device=_facts(uri),
            note="what it runs in is the server's to choose",
            options={
                "precision": options.precision,
                "server": str(uri),
                "version": str(served.options["version"]),
            },
        )

    def load(self, engine: Path, options: Mapping[str, Any]) -> TritonRunner:
        uri = TritonUri.parse(engine.read_text(encoding="utf-8"))
        return TritonRunner(uri, ask(uri).manifest, str(options["version"]))


def _facts(uri: TritonUri) -> dict[str, str]:
    """What of a served model must stay the same."""
    served = ask(uri)
    return {
        "server": str(uri),
        "platform": served.platform,
        "version": str(served.manifest.options.get("version")),
        "model": served.manifest.engine_sha256,
    }
