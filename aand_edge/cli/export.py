"""`aand-edge export`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from aand_edge.cli.options import Frame, Json, Model, Precision, Roi
from aand_edge.errors import UsageError


def command(
    model: Model = None,
    precision: Precision = None,
    frame: Frame = None,
    roi: Roi = None,
    colour: Annotated[
        str, typer.Option(help="Order of the frame's channels: BGR (as OpenCV gives it) or RGB.")
    ] = "BGR",
    batch: Annotated[int, typer.Option(help="Frames a call.")] = 1,
    as_json: Json = False,
) -> None:
    """Fuse a trained model into one ONNX graph and check that it answers as PyTorch does."""
    from aand_edge.cli.build import checked_precision
    from aand_edge.cli.lookup import find_model, parse_frame, parse_roi
    from aand_edge.cli.show import answer, facts, ticking
    from aand_edge.config import Workspace
    from aand_edge.export.export import ExportOptions, export_model

    workspace = Workspace.open()
    options = ExportOptions(
        precision=checked_precision(precision or workspace.settings.build.precision),
        frame=parse_frame(frame),
        roi=parse_roi(roi),
        colour=_checked_colour(colour),
        batch=batch,
    )
    with ticking("parity") as tick:
        exported = export_model(find_model(workspace, model), options, tick)
    parity = exported.parity
    rows = [
        ("graph", exported.graph),
        ("held-out pictures", exported.holdout),
        (
            "input",
            f"uint8 {exported.facts.batch} x {exported.facts.frame[0]} x {exported.facts.frame[1]} x 3, {colour}",
        ),
        (
            "map, against PyTorch",
            f"differs by {parity.map_error_max:.1e} at most; {parity.tolerance:g} is allowed, "
            f"the maps' own spread is {parity.map_spread:.2g}",
        ),
        ("score, against PyTorch", f"differs by {parity.score_error_max:.1e} at most"),
    ]
    reply = {"graph": str(exported.graph), "holdout": str(exported.holdout), "parity": parity.to_dict()}
    answer(reply, as_json, facts(f"{exported.facts.name} {exported.facts.precision}", rows))


def _checked_colour(name: str) -> Literal["BGR", "RGB"]:
    if name == "BGR":
        return "BGR"
    if name == "RGB":
        return "RGB"
    raise UsageError(f"There is no channel order '{name}'", "Choose BGR or RGB.")
