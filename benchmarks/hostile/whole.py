"""Is everything in a workspace whole, and how to put it back as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

from aand_edge.artifacts import EngineManifest, ModelCard, sha256_file


def torn(folder: Path, except_for: str = "") -> str | None:
    """The first file that its reader would take for whole and that is not, or is left over; None where all is well."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == except_for or not path.is_file():
            continue
        if path.name.startswith(".") and path.name != ".lock":
            return f"left {name} behind"
        if path.parent.name == "engines" and path.suffix == ".json":
            manifest = EngineManifest.read(path)
            engine = path.parent / manifest.engine
            if f"engines/{manifest.engine}" != except_for and sha256_file(engine) != manifest.engine_sha256:
                return f"left {name} beside another engine"
        if path.name == "card.json":
            weights = path.parent / "model.safetensors"
            if f"{weights.relative_to(folder)}" != except_for:
                card = ModelCard.read(path)
                if sha256_file(weights) != card.weights["sha256"]:
                    return f"left {name} beside other weights"
    return None


def restore(folder: Path, pristine: Path) -> None:
    """Make the workspace what it was: files that differ in size or time are copied again, new ones go."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not (pristine / path.relative_to(folder)).exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for source in pristine.rglob("*"):
        target = folder / source.relative_to(pristine)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        elif not target.exists() or _mark(target) != _mark(source):
            shutil.copy2(source, target)


def _mark(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
