"""`aand-edge calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aand_edge.cli.options import Frame, Json, Locked, Model

if TYPE_CHECKING:
    from rich.console import Group

    from aand_edge.export.calibrate import CalibrationTable


def command(
    model: Model = None,
    method: Annotated[str | None, typer.Option(help="How ranges are read: percentile, minmax, entropy or mse.")] = None,
    percentile: Annotated[
        float | None, typer.Option(help="Per cent of a tensor's values that are not clipped.")
    ] = None,
    calib_images: Annotated[int | None, typer.Option(help="Held-out pictures to look at.")] = None,
    anomalies: Annotated[
        bool | None, typer.Option("--anomalies/--no-anomalies", help="Also look at synthetic anomalies on them.")
    ] = None,
    frame: Frame = None,
    locked: Locked = False,
    as_json: Json = False,
) -> None:
    """Read the ranges that int8 needs from held-out pictures. They are those of the trunk's tensors."""
    from aand_edge.cli.graphs import Taken, calibration_table, find_graph
    from aand_edge.cli.options import overridden, refuse_without
    from aand_edge.cli.show import answer
    from aand_edge.config import Workspace

    workspace = Workspace.open()
    chosen = {"method": method, "percentile": percentile, "images": calib_images, "anomalies": anomalies}
    settings = overridden(workspace.settings.calibrate, chosen, "calibrate", images="calib-images")
    refuse_without("--method percentile", settings.method == "percentile", percentile=percentile)
    files = find_graph(workspace, model, "fp32", Taken(frame))
    path, table = calibration_table(workspace, files, settings, locked)
    answer({"table": str(path), **table.model_dump(mode="json")}, as_json, _summary(path, table))


def _summary(path: Path, table: CalibrationTable) -> Group:
    from aand_edge.cli.show import facts

    clipped = [name for name, each in table.tensors.items() if each.range < 0.999 * each.largest]
    most = min(table.tensors.items(), key=lambda item: item[1].range / max(item[1].largest, 1e-12))
    facts_of = table.holds_for
    method = facts_of["method"] + (f", {facts_of['share']} %" if facts_of["share"] else "")
    rows = [
        ("table", path),
        ("key", table.key[:12]),
        ("method", method),
        ("pictures", f"{facts_of['pictures']}{', half of them with anomalies' if facts_of['anomalies'] else ''}"),
        ("tensors", f"{len(table.tensors)}, {len(clipped)} of them clipped"),
        ("clipped most", f"{most[0]}: {most[1].range:.3g} of {most[1].largest:.3g}"),
    ]
    return facts(path.stem, rows)
