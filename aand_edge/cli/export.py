"""`aand-edge export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aand_edge.cli.options import Batch, Frame, Json, Locked, Model, Precision, Quantise
from aand_edge.errors import UsageError

if TYPE_CHECKING:
    from aand_edge.cli.graphs import Int8
    from aand_edge.config import Workspace
    from aand_edge.export.export import Exported, ExportOptions


def command(
    model: Model = None,
    precision: Precision = None,
    frame: Frame = None,
    colour: Annotated[
        str, typer.Option(help="Order of the frame's channels: BGR (as OpenCV gives it) or RGB.")
    ] = "BGR",
    batch: Batch = None,
    quantise: Quantise = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(help="Of int8 weights: 8, the default, or 7 for x86 CPUs without VNNI, where 8 saturate."),
    ] = None,
    locked: Locked = False,
    triton: Annotated[
        Path | None, typer.Option("--triton", help="Also put it into this NVIDIA Triton model repository.")
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option(min=1, help="With --triton: requests that the server may join into one batch; 8.")
    ] = None,
    instances: Annotated[
        int | None, typer.Option(min=1, help="With --triton: copies of the model that the server runs at once; 1.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="With --triton: serve this built engine as it is, in place of a graph.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fuse a trained model into one ONNX graph. It is checked to answer as PyTorch does."""
    from dataclasses import replace

    from aand_edge.cli.graphs import GraphFiles, Int8, write_graph_of
    from aand_edge.cli.lookup import find_model, parse_frame
    from aand_edge.cli.options import checked_precision, parse_regions, refuse_with, refuse_without
    from aand_edge.cli.show import answer, facts
    from aand_edge.cli.triton import packed_reply, packed_rows, serve_engine, serve_exported
    from aand_edge.config import Workspace

    workspace = Workspace.open()
    refuse_without("--triton", triton is not None, max_batch=max_batch, instances=instances, engine=engine)
    if triton is not None and engine is not None:
        refuse_with("--engine", precision=precision, frame=frame, quantise=quantise, weight_bits=weight_bits)
        refuse_with("--engine", locked=locked or None, batch=batch, max_batch=max_batch)
        serve_engine(workspace, model, engine, triton, instances, as_json)
        return
    asked = checked_precision(precision or workspace.settings.build.precision)
    if triton is not None:
        from aand_edge.export.served import check_servable

        refuse_with("--triton", batch=batch)  # the server joins what it is asked
        check_servable(asked)
    refuse_without(
        "--precision int8", asked == "int8", quantise=quantise, weight_bits=weight_bits, locked=locked or None
    )
    frames = batch or (workspace.settings.build.batch if triton is None else 1)
    taken = parse_frame(frame), _checked_colour(colour), frames
    folder = find_model(workspace, model)
    from aand_edge.export.export import ExportOptions  # PyTorch takes seconds to load

    options = ExportOptions(asked, *taken)
    if asked == "int8":
        regions = parse_regions(quantise, workspace.settings.build.quantise)
        int8 = Int8(regions, 8 if weight_bits is None else weight_bits, workspace.settings.calibrate, locked)
        exported, graph = _export_int8(workspace, folder, replace(options, precision="fp16"), int8)
    else:
        exported = write_graph_of(folder, options)
        graph = exported.graph
    reply: dict[str, Any] = {
        "graph": str(graph),
        "holdout": str(exported.holdout),
        "parity": exported.parity.to_dict(),
        "stretched": exported.stretched,
    }
    rows = _rows(exported, graph)
    if triton is not None:
        packed = serve_exported(workspace, GraphFiles(graph, exported.holdout), triton, max_batch, instances)
        reply["triton"], rows = packed_reply(packed), [*rows, *packed_rows(packed)]
    answer(reply, as_json, facts(f"{exported.facts.name} {asked}", rows))


def _export_int8(workspace: Workspace, folder: Path, fp16: ExportOptions, int8: Int8) -> tuple[Exported, Path]:
    """The fp16 graph, and the int8 graph made of it with ranges from the fp32 one."""
    from dataclasses import replace

    from aand_edge.cli.graphs import GraphFiles, quantised_graph, write_graph_of
    from aand_edge.export.int8 import Quantisation

    Quantisation(int8.regions or (), int8.weight_bits)  # refused now, rather than after two graphs were written
    full = write_graph_of(folder, replace(fp16, precision="fp32"))
    half = write_graph_of(folder, fp16, again=True)
    return half, quantised_graph(workspace, GraphFiles(full.graph, full.holdout), half.graph, int8)


def _rows(exported: Exported, graph: Path) -> list[tuple[str, object]]:
    parity, facts = exported.parity, exported.facts
    before = " before it is quantised" if graph != exported.graph else ""
    return [
        ("graph", graph),
        ("held-out pictures", exported.holdout),
        ("input", f"uint8 {facts.batch} x {facts.frame[0]} x {facts.frame[1]} x 3, {facts.colour}"),
        (
            f"map, against PyTorch{before}",
            f"differs by {parity.map_error_max:.1e} at most; {parity.tolerance:g} is allowed, "
            f"the maps' own spread is {parity.map_spread:.2g}",
        ),
        *(("overflow", str(each)) for each in exported.overflows),
        (f"score, against PyTorch{before}", f"differs by {parity.score_error_max:.1e} at most"),
    ]


def _checked_colour(name: str) -> Literal["BGR", "RGB"]:
    if name == "BGR":
        return "BGR"
    if name == "RGB":
        return "RGB"
    raise UsageError(f"There is no channel order '{name}'", "Choose BGR or RGB.")
