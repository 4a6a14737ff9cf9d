"""The client: a served model's manifest, and its answers over gRPC by the KServe v2 protocol, through tritonclient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from aand_edge.artifacts import EngineManifest
from aand_edge.engines.base import Frames, Outputs, Runner, check_frames
from aand_edge.engines.packages import missing as missing_package
from aand_edge.engines.triton.config import MANIFEST
from aand_edge.engines.triton.uri import TritonUri
from aand_edge.errors import AandEdgeError, ArtefactMismatchError, MissingDependencyError

OUTPUTS = ("anomaly_map", "score")
EXPORT = "Write its repository with `aand-edge export --triton DIR`."


def missing() -> str | None:
    """Why no server can be asked from here, or None."""
    return missing_package("tritonclient.grpc", "triton")


@dataclass(frozen=True)
class Served:
    """What a server says of a model: the manifest in its configuration, and what it runs it with."""

    manifest: EngineManifest
    platform: str


def load_served(uri: TritonUri) -> tuple[EngineManifest, TritonRunner]:
    """The manifest that a server gives with a model, and a runner of the version that it was written for.

    Raises ArtefactMismatchError where there is no such model, it has no manifest or is another than its manifest says;
    AandEdgeError where the server is away; MissingDependencyError without tritonclient.
    """
    served = ask(uri)
    accepted_with = served.manifest.device.get("platform")
    if served.platform != accepted_with:
        raise ArtefactMismatchError(
            f"The model {uri.model} was accepted as {accepted_with}, {uri.server} runs it as {served.platform}",
            f"Accept it as it is served: `aand-edge build --backend triton --server {uri}`.",
        )
    return served.manifest, TritonRunner(uri, served.manifest, str(served.manifest.options.get("version")))


def ask(uri: TritonUri) -> Served:
    """What the server says of a model. Raises as `load_served`."""
    client = _client(uri)
    try:
        with _as_our_errors(uri):
            wait = uri.timeout_ms / 1000
            config = client.get_model_config(uri.model, client_timeout=wait).config
            text = config.parameters[MANIFEST].string_value if MANIFEST in config.parameters else ""
        manifest = _manifest(uri, text)
        with _as_our_errors(uri):
            metadata = client.get_model_metadata(uri.model, str(manifest.options.get("version")), client_timeout=wait)
    finally:
        client.close()
    _check_tensors(uri, manifest, metadata)
    return Served(manifest, str(metadata.platform))


class TritonRunner(Runner):
    """One version of a served model: a newer one has another threshold, and is no longer this engine."""

    def __init__(self, uri: TritonUri, manifest: EngineManifest, version: str) -> None:
        from tritonclient.grpc import InferRequestedOutput

        self._uri, self._version = uri, version
        self._batch, self._frame, self._side = manifest.batch, manifest.frame, manifest.size
        self._wanted = [InferRequestedOutput(name) for name in OUTPUTS]
        self._client: Any = _client(uri)

    def infer(self, frames: Frames) -> Outputs:
        """See `base.Runner`. Raises AandEdgeError where the server is away, late, or serves another version."""
        from tritonclient.grpc import InferInput

        if self._client is None:
            raise AandEdgeError("The engine is closed", "Load it again.")
        check_frames(frames, (self._batch, *self._frame, 3))
        given = InferInput("image", list(frames.shape), "UINT8")
        given.set_data_from_numpy(frames)
        wait = self._uri.timeout_ms / 1000
        with _as_our_errors(self._uri):
            found = self._client.infer(
                self._uri.model, [given], self._version, outputs=self._wanted, client_timeout=wait
            )
        if found.get_response().model_version != self._version:
            raise AandEdgeError(
                f"{self._uri.server} answered with version {found.get_response().model_version} of {self._uri.model}, "
                f"version {self._version} was asked for",
                EXPORT,
            )
        return Outputs(
            self._values(found, "anomaly_map", (self._batch, self._side, self._side)),
            self._values(found, "score", (self._batch,)),
        )

    def _values(self, found: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        values = found.as_numpy(name)
        if values is None or values.dtype != np.float32 or values.size != np.prod(shape):
            raise AandEdgeError(f"{self._uri.server} answered without a '{name}' of {shape}", EXPORT)
        answer: NDArray[np.float32] = values.reshape(shape).copy()  # the message's own bytes cannot be written
        return answer

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _client(uri: TritonUri) -> Any:
    reason = missing()
    if reason is not None:
        raise MissingDependencyError(f"{uri} cannot be asked: {reason}", "Install it.")
    from tritonclient.grpc import InferenceServerClient

    return InferenceServerClient(uri.server)


@contextmanager
def _as_our_errors(uri: TritonUri) -> Iterator[None]:
    """Whatever goes wrong between here and the server, in one sentence."""
    from tritonclient.utils import InferenceServerException

    try:
        yield
    except InferenceServerException as error:
        status, text = str(error.status()), str(error.message()).strip().rstrip(".")
        if status.endswith("DEADLINE_EXCEEDED"):
            raise AandEdgeError(
                f"The Triton server {uri.server} did not answer within {uri.timeout_ms:g} ms",
                f"Look at its load, or allow more: {uri.model}?timeout_ms=…",
            ) from None
        if status.endswith("UNAVAILABLE"):
            text = text.rpartition(": ")[2]  # gRPC lists what it tried, and the reason last
            raise AandEdgeError(
                f"The Triton server {uri.server} is away ({text})", "Start it, or mend the way to it."
            ) from None
        raise ArtefactMismatchError(f"The Triton server {uri.server} refuses {uri.model}: {text}", EXPORT) from None


def _manifest(uri: TritonUri, text: str) -> EngineManifest:
    if not text:
        raise ArtefactMismatchError(f"The model {uri.model} at {uri.server} has no manifest of aand-edge", EXPORT)
    try:
        return EngineManifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise ArtefactMismatchError(
            f"The manifest of {uri.model} at {uri.server} cannot be read: {where}: {first['msg']}", EXPORT
        ) from None


def _check_tensors(uri: TritonUri, manifest: EngineManifest, metadata: Any) -> None:
    """Raises ArtefactMismatchError where the served tensors are not those of the manifest, both named."""
    (height, width), side = manifest.frame, manifest.size
    expected = {"image": ("UINT8", (height, width, 3)), "anomaly_map": ("FP32", (side, side)), "score": ("FP32", ())}
    found = {each.name: (str(each.datatype), tuple(each.shape)) for each in (*metadata.inputs, *metadata.outputs)}
    for name, (kind, shape) in expected.items():
        possible = [(kind, (lead, *shape)) for lead in (-1, manifest.batch)]
        possible += [("FP32", (-1, 1))] if name == "score" else []
        if found.get(name) not in possible:
            raise ArtefactMismatchError(
                f"The manifest of {uri.model} says {name} {kind} {possible[0][1]}, {uri.server} serves "
                f"{' '.join(map(str, found.get(name, ('none',))))}",
                EXPORT,
            )
