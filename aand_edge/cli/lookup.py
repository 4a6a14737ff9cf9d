"""What a command was pointed at: options first, then the workspace file, then the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aand_edge.cli.show import say
from aand_edge.config import Workspace
from aand_edge.errors import ArtefactMismatchError, UsageError

if TYPE_CHECKING:
    from aand_edge.data.layouts import Category


def open_category(workspace: Workspace, data: Path | None, layout: str | None, category: str | None) -> Category:
    """The category that the options or the workspace file name."""
    from aand_edge.data.layouts import read_category

    settings = workspace.settings.data
    root = data or (workspace.resolve(settings.root) if settings.root else None)
    if root is None:
        raise UsageError("No pictures were named", "Give --data DIR, or set root under [data] in aand-edge.toml.")
    if data is not None:
        return read_category(data, layout or "auto", category)
    return read_category(root, layout or settings.layout, category or settings.category)


def trained_category(
    workspace: Workspace, folder: Path, data: Path | None, layout: str | None, category: str | None
) -> Category:
    """As `open_category`; where nothing is named, the data that the model was trained on."""
    from aand_edge.artifacts import ModelCard
    from aand_edge.data.layouts import read_category

    if data is None and workspace.settings.data.root is None:
        trained_on = ModelCard.read(folder / "card.json").data
        name = trained_on["category"] if trained_on["layout"] == "visa" else None
        return read_category(Path(trained_on["root"]), trained_on["layout"], name)
    return open_category(workspace, data, layout, category)


def find_model(workspace: Workspace, model: str | None) -> Path:
    """The folder of a trained model: a path, a name under models/, or the newest there."""
    if model is not None:
        for folder in (Path(model), workspace.models / model):
            if (folder / "card.json").is_file():
                return folder
        raise UsageError(f"There is no trained model '{model}'", f"Look into {workspace.models}, or train one.")
    found = sorted(workspace.models.glob("*/card.json"), key=lambda card: card.stat().st_mtime)
    if not found:
        raise UsageError(f"{workspace.models} holds no trained model", "Train one with `aand-edge train`.")
    newest = found[-1].parent
    if len(found) > 1:
        say(f"model: {newest.name}, the newest of {len(found)}")
    return newest


def parse_frame(frame: str | None) -> tuple[int, int] | None:
    """ "1280x720" → (1280, 720)."""
    if frame is None:
        return None
    width, _, height = frame.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"'{frame}' is no frame size", "Write it as WIDTHxHEIGHT, for example --frame 1280x720.")
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
            raise UsageError(f"{workspace.engines} holds no engine", "Build one with `aand-edge build`.")
        return found
    return [_find_engine(workspace, name) for name in names]


def _find_engine(workspace: Workspace, name: str) -> Path:
    for path in (Path(name), workspace.engines / name, workspace.engines / f"{name}.json"):
        if path.is_file():
            return path if path.suffix == ".json" else path.with_name(path.name.removesuffix(path.suffix) + ".json")
    if (workspace.engines / f"{name}.pending").is_file():
        raise ArtefactMismatchError(
            f"The engine {name} was built elsewhere and is not accepted on this machine",
            f"Run `aand-edge threshold {name}` here, beside models/NAME with its held-out pictures.",
        )
    raise UsageError(f"There is no engine '{name}'", f"Look into {workspace.engines}, or build one.")
