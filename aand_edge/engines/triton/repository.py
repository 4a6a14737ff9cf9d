"""A Triton model repository: `DIR/MODEL/config.pbtxt`, `manifest.json` and `VERSION/model.onnx` or `model.plan`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from aand_edge.artifacts import EngineManifest, atomic_path, sha256_file, write_text
from aand_edge.engines.load import read_manifest
from aand_edge.engines.triton.config import FILES, Platform, Serving, config_text
from aand_edge.errors import ArtefactMismatchError, UsageError

PROTOCOL = "KServe v2"  # what client and server have in common
CONFIG, MANIFEST = "config.pbtxt", "manifest.json"
PLATFORMS: dict[str, Platform] = {"onnxruntime": "onnxruntime_onnx", "tensorrt": "tensorrt_plan"}


@dataclass(frozen=True)
class Packed:
    """A model of a repository."""

    folder: Path
    version: int
    manifest: EngineManifest


def pack_engine(repository: Path, path: Path, instances: int = 1) -> Packed:
    """Put a built engine into a repository, with its own threshold; its batch is static, so the server adds none.

    Raises UsageError for an engine that no Triton server runs, ArtefactMismatchError where its file is not the one
    that was accepted.
    """
    manifest = read_manifest(path)
    if manifest.backend not in PLATFORMS:
        raise UsageError(
            f"Triton runs no {manifest.backend} engine such as {manifest.name}",
            "Build it with --backend tensorrt on the server's GPU, or leave --engine out and let the graph be served.",
        )
    engine = path.parent / manifest.engine
    found = sha256_file(engine) if engine.is_file() else "none"
    if found != manifest.engine_sha256:
        raise ArtefactMismatchError(
            f"{engine} has SHA-256 {found[:12]}…, its manifest says {manifest.engine_sha256[:12]}…", "Build it again."
        )
    return pack(repository, engine, manifest, PLATFORMS[manifest.backend], Serving(0, instances))


def pack(repository: Path, file: Path, accepted: EngineManifest, platform: Platform, serving: Serving) -> Packed:
    """Put a model's file into a repository, as the next version; the configuration comes last and names that version.

    accepted   the manifest of the engine that its threshold was read from, and of which `file` is the same network
    """
    stem = accepted.name.removesuffix(f".{accepted.backend}.{accepted.precision}")
    name = f"{stem}-{accepted.precision}"
    folder = repository / name
    version = _next_version(folder)
    inside = folder / str(version)
    try:
        with atomic_path(inside / FILES[platform]) as temporary:
            shutil.copyfile(file, temporary)
        manifest = _served(accepted, inside / FILES[platform], stem, platform, version)
        manifest.write(folder / MANIFEST)
        write_text(folder / CONFIG, config_text(name, manifest, platform, version, serving))
    except BaseException:
        shutil.rmtree(inside, ignore_errors=True)
        raise
    return Packed(folder, version, manifest)


def _next_version(folder: Path) -> int:
    """The number of a folder made for it: a version is never written over, since clients hold on to it."""
    folder.mkdir(parents=True, exist_ok=True)
    versions = [int(each.name) for each in folder.iterdir() if each.name.isdecimal()]
    version = max(versions, default=0) + 1
    (folder / str(version)).mkdir()
    return version


def _served(accepted: EngineManifest, file: Path, stem: str, platform: Platform, version: int) -> EngineManifest:
    """The manifest that clients get: the acceptance and the threshold of the engine, the name of what is served."""
    where = (
        f"accepted with {accepted.backend} {accepted.backend_version} on {accepted.device.get('device', 'a device')}"
    )
    return accepted.model_copy(
        update={
            "name": f"{stem}.triton.{accepted.precision}",
            "engine": file.name,
            "engine_sha256": sha256_file(file),
            "backend": "triton",
            "backend_version": PROTOCOL,
            "device": {"platform": platform},
            "options": {"precision": accepted.precision, "version": str(version)},
            "precision_note": "; ".join(filter(None, [accepted.precision_note, where])),
        }
    )
