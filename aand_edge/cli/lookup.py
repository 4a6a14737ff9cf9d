"""What a command was pointed at: options first, then the workspace file, then the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aand_edge.cli.show import say
from aand_edge.config import FILE, Workspace
from aand_edge.errors import ArtefactMismatchError, UsageError

if TYPE_CHECKING:
    from aand_edge.data.layouts import Category
    from aand_edge.engines.load import EnginePlace

FEW = 5  # names in a hint


def or_elsewhere(workspace: Workspace, hint: str) -> str:
    """The next step, and another one where what is missing may lie elsewhere: this folder is no workspace."""
    if (workspace.root / FILE).is_file():
        return hint
    return f"{hint} {workspace.root} has no {FILE}: `cd` into your workspace, or start one with `aand-edge init`."


def models_there(workspace: Workspace) -> str:
    """A hint that names the models of the workspace."""
    from aand_edge.artifacts import CARD

    found = [card.parent.name for card in workspace.models.glob(f"*/{CARD}")]
    return _named(workspace.models, found, "train one")


def engines_there(workspace: Workspace) -> str:
    """A hint that names the engines of the workspace."""
    from aand_edge.engines.load import list_engines

    return _named(workspace.engines, [manifest.stem for manifest in list_engines(workspace.engines)], "build one")


def _named(folder: Path, names: list[str], otherwise: str) -> str:
    if not names:
        return f"{folder} holds none: {otherwise}."
    first, more = sorted(names)[:FEW], len(names) - FEW
    return f"{folder} holds {', '.join(first)}{f' and {more} more' if more > 0 else ''}."


def open_category(workspace: Workspace, data: Path | None, layout: str | None, category: str | None) -> Category:
    """The category that the options or the workspace file name."""
    from aand_edge.data.layouts import read_category

    settings = workspace.settings.data
    root = data or (workspace.resolve(settings.root) if settings.root else None)
    if root is None:
        hint = "Give --data DIR, or set root under [data] in aand-edge.toml."
        raise UsageError("No pictures were named", or_elsewhere(workspace, hint))
    if data is not None:
        return read_category(data, layout or "auto", category)
    return read_category(root, layout or settings.layout, category or settings.category)


def trained_category(
    workspace: Workspace, folder: Path, data: Path | None, layout: str | None, category: str | None
) -> Category:
    """The pictures to judge a model on: those named by options, else those beside its training pictures.

    Where the training pictures lie elsewhere than on this machine, the workspace's, if they are of the same category.
    Raises ArtefactMismatchError where they are of another. A folder that --data names may be called anything, so
    another name is warned of rather than refused.
    """
    from aand_edge.artifacts import CARD, ModelCard
    from aand_edge.data.layouts import read_category

    card = ModelCard.read(folder / CARD)
    trained_on, settings = card.data, workspace.settings.data
    wanted = str(trained_on["category"])
    _check_same_category(card.name, wanted, category or wanted)
    if data is not None:
        found = read_category(data, layout or "auto", category or _inside(data, wanted))
        if found.name != wanted:
            say(f"warning: {card.name} was trained on {wanted}; it is judged on {found.name}")
        return found
    root = Path(trained_on["root"])
    if root.is_dir() or settings.root is None:
        return read_category(root, layout or trained_on["layout"], wanted if trained_on["layout"] == "visa" else None)
    there = workspace.resolve(settings.root)
    found = read_category(there, layout or settings.layout, _inside(there, wanted) or settings.category)
    _check_same_category(card.name, wanted, found.name)
    return found


def _inside(root: Path, category: str) -> str | None:
    """The category, where it is a folder of `root`; a folder of that name in a category is a kind, such as `good`."""
    from aand_edge.data.layouts import is_category

    return category if (root / category).is_dir() and not is_category(root) else None


def _check_same_category(model: str, trained_on: str, asked: str) -> None:
    if asked != trained_on:
        raise ArtefactMismatchError(
            f"{model} was trained on {trained_on}, and is not judged on {asked}",
            "Leave --category out, or name that category's model.",
        )


def find_model(workspace: Workspace, model: str | None) -> Path:
    """The folder of a trained model: a path, a name under models/, the name on a card there, or the newest there.

    Raises ArtefactMismatchError where another folder holds a model of that name: its engines would be overwritten.
    """
    folder = _find_model(workspace, model)
    _check_only_one_of_its_name(workspace, folder)
    return folder


def _check_only_one_of_its_name(workspace: Workspace, folder: Path) -> None:
    from aand_edge.artifacts import CARD

    name = _name_on(folder / CARD)
    other = folder_of_model(workspace, name) if name else folder
    if name != folder.name and (other / CARD).is_file() and not other.samefile(folder):
        raise ArtefactMismatchError(
            f"{folder} holds the model {name}, as {other} does",
            f'Give it a name of its own, "name": "{folder.name}" in its {CARD}, or move it elsewhere.',
        )


def _find_model(workspace: Workspace, model: str | None) -> Path:
    from aand_edge.artifacts import CARD

    if model is not None:
        for folder in (Path(model), folder_of_model(workspace, model)):
            if (folder / CARD).is_file():
                return folder.resolve()  # `.` has no name
        hint = or_elsewhere(workspace, models_there(workspace))
        raise UsageError(f"There is no trained model '{model}'", hint)
    found = sorted((card.parent for card in workspace.models.glob(f"*/{CARD}")), key=_trained_at)
    if not found:
        hint = or_elsewhere(workspace, "Train one with `aand-edge train`.")
        raise UsageError(f"{workspace.models} holds no trained model", hint)
    newest = found[-1]
    if len(found) > 1:
        say(f"model: {newest.name}, the newest of {len(found)}")
    return newest


def _trained_at(folder: Path) -> float:
    """When the weights were written; `eval` writes to the card, which makes no model newer."""
    from aand_edge.artifacts import CARD, WEIGHTS

    weights = folder / WEIGHTS
    return (weights if weights.is_file() else folder / CARD).stat().st_mtime


def folder_of_model(workspace: Workspace, name: str) -> Path:
    """The folder under models/ of that name, or whose card has it, whatever the folder is called now."""
    from aand_edge.artifacts import CARD

    if (workspace.models / name / CARD).is_file():
        return workspace.models / name
    cards = sorted(workspace.models.glob(f"*/{CARD}"))
    return next((card.parent for card in cards if _name_on(card) == name), workspace.models / name)


def _name_on(card: Path) -> str | None:
    """None where it cannot be read: that is told when the model itself is asked for."""
    from aand_edge.artifacts import ModelCard

    try:
        return ModelCard.read(card).name
    except ArtefactMismatchError:
        return None


def parse_frame(frame: str | None, option: str = "--frame") -> tuple[int, int] | None:
    """ "1280x720" → (1280, 720)."""
    if frame is None:
        return None
    width, _, height = frame.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"'{frame}' is no frame size", f"Write it as WIDTHxHEIGHT, for example {option} 1280x720.")
    return int(width), int(height)


def parse_roi(roi: str | None) -> tuple[int, int, int, int] | None:
    """ "320,0,640,640" → (320, 0, 640, 640)."""
    if roi is None:
        return None
    parts = roi.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"'{roi}' is no region", "Write it as X,Y,WIDTH,HEIGHT, for example --roi 320,0,640,640.")
    x, y, width, height = (int(part) for part in parts)
    return x, y, width, height


def find_engines(workspace: Workspace, names: list[str]) -> list[Path]:
    """The manifests of the named engines, or of all in the workspace."""
    from aand_edge.engines.load import list_engines

    if not names:
        found = list_engines(workspace.engines)
        if not found:
            hint = or_elsewhere(workspace, "Build one with `aand-edge build`.")
            raise UsageError(f"{workspace.engines} holds no engine", hint)
        return found
    return [_find_engine(workspace, name) for name in names]


def find_places(workspace: Workspace, names: list[str]) -> list[EnginePlace]:
    """As `find_engines`; a name may also be the address of a server's model, triton://HOST:8001/MODEL."""
    from aand_edge.engines.triton.uri import SCHEME, TritonUri

    if not names:
        return [*find_engines(workspace, [])]
    return [TritonUri.parse(name) if name.startswith(SCHEME) else _find_engine(workspace, name) for name in names]


def warn_of_older_weights(workspace: Workspace, places: Sequence[EnginePlace]) -> None:
    """Tell of engines whose model was trained again since they were built: they judge as the old one did."""
    from aand_edge.artifacts import CARD, ModelCard
    from aand_edge.engines.load import read_manifest

    for place in places:
        if not isinstance(place, Path):
            continue
        manifest = read_manifest(place)
        card = folder_of_model(workspace, manifest.model) / CARD
        try:
            trained = ModelCard.read(card).weights.get("sha256") if card.is_file() else None
        except ArtefactMismatchError:  # an engine judges without its model
            continue
        if trained is not None and manifest.weights not in ("", trained):
            say(f"warning: {manifest.name} is of an earlier training of {manifest.model}; build it again")


def _find_engine(workspace: Workspace, name: str) -> Path:
    from aand_edge.engines.load import manifest_path
    from aand_edge.engines.registry import suffixes

    for path in (Path(name), workspace.engines / name, workspace.engines / f"{name}.json"):
        if path.is_file():
            return manifest_path(path)
    if (workspace.engines / f"{name}.pending").is_file():
        raise ArtefactMismatchError(
            f"The engine {name} was built elsewhere and is not accepted on this machine",
            f"Run `aand-edge threshold {name}` here, beside models/NAME with its held-out pictures.",
        )
    files = (workspace.engines / f"{name}{suffix}" for suffix in suffixes())
    if orphan := next((file for file in files if file.is_file()), None):
        raise ArtefactMismatchError(
            f"{orphan} is there, but its manifest {name}.json is not, which says what it is and holds its threshold",
            "Put the manifest back, or build the engine again.",
        )
    hint = or_elsewhere(workspace, engines_there(workspace))
    raise UsageError(f"There is no engine '{name}'", hint)
