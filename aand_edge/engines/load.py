"""Loading an engine: whatever can be wrong with it is told before a byte of it is deserialised.

An engine is named by its file or its manifest, or by the address of a server's model, which brings its manifest along.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aand_edge.artifacts import FALSE_REJECTS, EngineFacts, EngineManifest, Precision, sha256_file
from aand_edge.engines.base import Backend, Runner
from aand_edge.engines.packages import first_line
from aand_edge.engines.registry import find_backend
from aand_edge.engines.triton.runner import ask, load_served
from aand_edge.engines.triton.uri import TritonUri
from aand_edge.errors import ArtefactMismatchError, UsageError
from aand_edge.graph_facts import GraphFacts, graph_stem

EnginePlace = Path | TritonUri


def load_engine(place: EnginePlace) -> tuple[EngineManifest, Runner]:
    """The manifest and a runner of an engine.

    Raises ArtefactMismatchError, naming both sides, where file, machine or version is not the manifest's;
    MissingDependencyError where the backend is not installed.
    """
    if isinstance(place, TritonUri):
        return load_served(place)
    manifest = read_manifest(place)
    return manifest, open_engine(place.parent / manifest.engine, manifest)


def open_engine(engine: Path, facts: EngineFacts) -> Runner:
    """A runner of an engine file, of which its manifest (or what waits in its place) tells the facts.

    Raises as `load_engine`.
    """
    backend = backend_of(facts)
    check_engine(engine, facts, backend)
    try:
        return backend.load(engine, facts.options)
    except ArtefactMismatchError as error:
        raise ArtefactMismatchError(error.message, rebuild_hint(facts)) from None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArtefactMismatchError(
            f"The options in the manifest of {engine} are wrong ({first_line(error)})", rebuild_hint(facts)
        ) from None


def read_manifest(path: EnginePlace) -> EngineManifest:
    """The manifest beside an engine file, or the one that `path` is; of a served model, the one that the server gives.

    Raises ArtefactMismatchError where it is missing, is none, or has another name than the one it was written under.
    """
    if isinstance(path, TritonUri):
        return ask(path).manifest
    beside = manifest_path(path)
    manifest = EngineManifest.read(beside)
    if beside.stem != manifest.name:
        raise ArtefactMismatchError(
            f"{beside} is the manifest of the engine {manifest.engine}, and not of one called {beside.stem}",
            f"Give both their names back: {manifest.name}.json and {manifest.engine}.",
        )
    return manifest


def manifest_path(file: Path) -> Path:
    """Where the manifest of an engine file lies; a manifest's own path is it."""
    return file.with_suffix(".json")


def checked_manifest(place: EnginePlace) -> EngineManifest:
    """The manifest of an engine that is whole and belongs to this machine, without loading it; a server's is its own.

    Raises as `load_engine`.
    """
    manifest = read_manifest(place)
    if isinstance(place, Path):
        check_engine(place.parent / manifest.engine, manifest, backend_of(manifest))
    return manifest


def backend_of(manifest: EngineFacts) -> Backend:
    """The backend that an engine was built with.

    Raises ArtefactMismatchError where there is no such backend, MissingDependencyError where it is not installed.
    """
    try:
        return find_backend(manifest.backend)
    except UsageError:
        raise ArtefactMismatchError(
            f"{manifest.engine} needs the backend '{manifest.backend}', which this version of aand-edge does not have",
            "Upgrade aand-edge, or build with another --backend.",
        ) from None


def list_engines(folder: Path) -> list[Path]:
    """The manifests in a folder, sorted by name; one that a build is just writing is left out."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def check_engine(engine: Path, manifest: EngineFacts, backend: Backend) -> None:
    """Raises ArtefactMismatchError where the engine is not the manifest's, or belongs to another machine."""
    check_file(engine, manifest, backend)
    for each in backend.differences(manifest.device):
        raise ArtefactMismatchError(
            f"{engine} was built for {each.fact} '{each.built}', this machine has '{each.here}'",
            rebuild_hint(manifest),
        )


def check_file(engine: Path, manifest: EngineFacts, backend: Backend) -> None:
    """Raises ArtefactMismatchError where the engine is not the manifest's, whatever machine it belongs to."""
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
    if manifest.weight_bits is not None:
        check_weight_bits(engine, manifest.weight_bits, backend, rebuild)


def check_weight_bits(what: Path, bits: int, backend: Backend, hint: str) -> None:
    """Raises ArtefactMismatchError where int8 weights are wider than this machine can add up without saturating."""
    allowed = backend.int8_weight_bits()
    if bits > allowed:
        raise ArtefactMismatchError(
            f"{what} has int8 weights of {bits} bits, this CPU adds up products of {allowed} at most",
            hint,
        )


def rebuild_hint(manifest: EngineFacts) -> str:
    """The commands that make this engine anew, on one line of a shell."""
    taken = _taken(manifest)
    precision = ["--precision", manifest.precision]
    build = ["aand-edge", "build", manifest.model, *precision, "--backend", manifest.backend, *taken]
    build += ["--quantise", ",".join(manifest.quantised)] if manifest.quantised else []
    build += _options(manifest.options)
    build += ["--target", ",".join(manifest.device["targets"].split())] if "targets" in manifest.device else []
    if isinstance(manifest, EngineManifest) and manifest.threshold.asked_false_rejects not in (None, FALSE_REJECTS):
        build += ["--false-rejects", f"{manifest.threshold.asked_false_rejects:g}"]
    commands = [build]
    if manifest.colour == "RGB":  # which only an export can ask for; a build keeps to the graph that lies there
        commands.insert(0, ["aand-edge", "export", manifest.model, *precision, *taken, "--colour", "RGB"])
    name = _rebuilt_name(manifest)
    called = "" if name == manifest.name else f" It is called {name} then."  # an older version, or a graph of its own
    return f"Build it here: `{' && '.join(map(shlex.join, commands))}`.{called}"


def export_command(graph: GraphFacts, precision: Precision, weight_bits: int | None = None) -> str:
    """The command that writes a graph which takes what this one does, in that precision, on one line of a shell."""
    words = ["aand-edge", "export", graph.name, "--precision", precision, *_taken(graph)]
    words += ["--colour", "RGB"] if graph.colour == "RGB" else []
    words += ["--weight-bits", str(weight_bits)] if weight_bits else []
    words += ["--quantise", ",".join(graph.quantised)] if precision == "int8" and graph.quantised else []
    return shlex.join(words)


def _rebuilt_name(manifest: EngineFacts) -> str:
    """What `build` calls the engine that it makes of the model."""
    height, width = manifest.frame
    frame = (width, height) if _framed(manifest) else None
    return f"{graph_stem(manifest.model, frame, manifest.batch)}.{manifest.backend}.{manifest.precision}"


def _taken(facts: EngineFacts | GraphFacts) -> list[str]:
    """What the engine or graph takes at a call, as the options say it."""
    height, width = facts.frame
    return [
        *(["--frame", f"{width}x{height}"] if _framed(facts) else []),
        *(["--batch", str(facts.batch)] if facts.batch > 1 else []),
    ]


def _framed(facts: EngineFacts | GraphFacts) -> bool:
    """Whether --frame asked for the frame: a region has one of its own."""
    return facts.roi is None and facts.frame != (facts.size, facts.size)


def _options(built: Mapping[str, Any]) -> list[str]:
    """The options of `build` that are not left at their default."""
    given = {f"--{name.replace('_', '-')}": built.get(name) for name in ("threads", "workspace_mb", "server")}
    options = [word for option, value in given.items() if value for word in (option, str(value))]
    options += ["--opt-level", str(built["opt_level"])] if built.get("opt_level") is not None else []  # 0 is one
    return options + (["--zero-copy"] if built.get("zero_copy") else [])


def open_runner(place: EnginePlace) -> Runner:
    """The runner of `load_engine` alone."""
    return load_engine(place)[1]
