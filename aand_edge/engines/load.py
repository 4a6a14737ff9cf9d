"""Loading an engine: whatever can be wrong with it is told before a byte of it is deserialised."""

from __future__ import annotations

from pathlib import Path

from aand_edge.artifacts import EngineManifest, sha256_file
from aand_edge.engines.base import Backend, Runner
from aand_edge.engines.registry import find_backend
from aand_edge.errors import ArtefactMismatchError


def load_engine(path: Path) -> tuple[EngineManifest, Runner]:
    """The manifest and a runner of an engine, named by its file or by its manifest.

    Raises ArtefactMismatchError, naming both sides, where file, machine or version is not the manifest's;
    MissingDependencyError where the backend is not installed.
    """
    manifest = read_manifest(path)
    engine = path.parent / manifest.engine
    backend = find_backend(manifest.backend)
    check_engine(engine, manifest, backend)
    return manifest, backend.load(engine, manifest.options)


def read_manifest(path: Path) -> EngineManifest:
    """The manifest beside an engine file, or the one that `path` is."""
    return EngineManifest.read(
        path if path.suffix == ".json" else path.with_name(path.name.removesuffix(path.suffix) + ".json")
    )


def list_engines(folder: Path) -> list[Path]:
    """The manifests in a folder, sorted by name."""
    return sorted(folder.glob("*.json"))


def check_engine(engine: Path, manifest: EngineManifest, backend: Backend) -> None:
    """Raises ArtefactMismatchError where the engine is not the manifest's, or belongs to another machine."""
    rebuild = rebuild_hint(manifest)
    if not engine.is_file():
        raise ArtefactMismatchError(f"The engine {engine} is missing", rebuild)
    found = sha256_file(engine)
    if found != manifest.engine_sha256:
        raise ArtefactMismatchError(
            f"{engine} has SHA-256 {found[:12]}…, its manifest says {manifest.engine_sha256[:12]}…", rebuild
        )
    if backend.version() != manifest.backend_version:
        raise ArtefactMismatchError(
            f"{engine} was built with {backend.name} {manifest.backend_version}, here is {backend.version()}", rebuild
        )
    here = backend.device()
    for fact, built in manifest.device.items():
        if here.get(fact) != built:
            raise ArtefactMismatchError(
                f"{engine} was built for {fact} '{built}', this machine has '{here.get(fact)}'", rebuild
            )


def rebuild_hint(manifest: EngineManifest) -> str:
    """The command that makes this engine anew."""
    return (
        f"Build it here: `aand-edge build {manifest.model} --precision {manifest.precision} "
        f"--backend {manifest.backend}`."
    )


def open_runner(path: Path) -> Runner:
    """The runner of `load_engine` alone."""
    return load_engine(path)[1]
