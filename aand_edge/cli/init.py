"""`aand-edge init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from aand_edge.cli.options import Json

SAMPLE = Path("data/sample")


def command(
    folder: Annotated[Path, typer.Argument(help="Of the workspace.")] = Path(),
    data: Annotated[Path | None, typer.Option("--data", help="Folder of pictures to write into the file.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Render a sample set of machined parts to start with.")
    ] = False,
    backbone: Annotated[str | None, typer.Option(help="To write into the file.")] = None,
    preset: Annotated[str | None, typer.Option(help="To write into the file: paper or short.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the rendered sample set; 0 by default.")] = None,
    as_json: Json = False,
) -> None:
    """Start a workspace: a folder with a commented aand-edge.toml. --sample adds a rendered data set to try it on."""
    from aand_edge.cli.options import check_folder, refuse_without
    from aand_edge.cli.show import answer
    from aand_edge.config import FILE, write_template
    from aand_edge.errors import UsageError

    if sample and data is not None:
        raise UsageError("--sample renders its own pictures", "Give either --sample or --data.")
    refuse_without("--sample", sample, seed=seed)
    if data is not None and data.is_file():
        raise UsageError(f"{data} is a file, and no folder", "Give --data the folder of the pictures.")
    if data is not None and not data.is_dir():
        raise UsageError(f"There is no folder {data}", "Check --data.")
    check_folder(folder)
    root = SAMPLE if sample else data.resolve() if data else None
    if sample:
        from aand_edge.data.sample import check_vacant, write_sample_set

        if not (folder / FILE).exists():  # where there is one, that is what is to be told
            check_vacant(folder / SAMPLE)
    path = write_template(folder, root, backbone, preset)
    if sample:
        write_sample_set(folder / SAMPLE, seed=seed or 0)
    reply = {"workspace": str(folder), "file": str(path), "data": str(root) if root else None}
    answer(reply, as_json, f"Wrote {path}\nNext:\n{_next(folder, with_data=root is not None)}")


def _next(folder: Path, with_data: bool) -> str:
    """The commands that follow, a line each."""
    enter = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    first = [] if with_data else ["# set root under [data] in aand-edge.toml"]
    return "\n".join(f"  {line}" for line in (*enter, *first, "aand-edge doctor", "aand-edge train"))
