"""Options that tell a command of cameras, or of what stands in for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aand_edge.cli.options import refused_value

if TYPE_CHECKING:
    from aand_edge.config import CameraSettings, Workspace

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=]SOURCE...",
        help="v4l2:///dev/video0, csi://0, rtsp://…, genicam://SERIAL, test://, a video, a folder, a glob or a "
        "picture; the cameras of aand-edge.toml by default.",
    ),
]
Size = Annotated[str | None, typer.Option("--size", help="WIDTHxHEIGHT that cameras are asked for.")]
Rate = Annotated[float | None, typer.Option("--rate", help="Frames a second that cameras are asked for.")]
Exposure = Annotated[float | None, typer.Option("--exposure", help="In the camera driver's own unit.")]
Flip = Annotated[str | None, typer.Option("--flip", help="horizontal, vertical or both.")]
Roi = Annotated[str | None, typer.Option("--roi", help="X,Y,WIDTH,HEIGHT of the picture that is kept.")]
Trigger = Annotated[
    str | None,
    typer.Option(
        "--trigger",
        help="free (every frame); one frame a part: part-gate?line=0.5&axis=x, gpio://18?edge=rising, "
        "mqtt://HOST/TOPIC, tcp://127.0.0.1:9100.",
    ),
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with pictures that come into the folder.")]


def asked_of_cameras(
    size: str | None, rate: float | None, exposure: float | None, flip: str | None, roi: str | None
) -> dict[str, Any]:
    """What these options ask for, as fields of `CameraSettings`. Raises UsageError for what is no size or region."""
    from aand_edge.cli.lookup import parse_frame, parse_roi

    frame, region = parse_frame(size, "--size"), parse_roi(roi)
    return {"size": frame, "rate": rate, "exposure": exposure, "flip": flip, "roi": region}


def named_or_of_file(
    workspace: Workspace, sources: list[str], options: dict[str, Any], command: str = "run"
) -> list[CameraSettings]:
    """Those that were named, each with the options; or those of the workspace file."""
    from pydantic import ValidationError

    from aand_edge.cli.lookup import or_elsewhere
    from aand_edge.config import CameraSettings, named_cameras
    from aand_edge.errors import UsageError

    settings = workspace.settings.run
    given = {name: value for name, value in options.items() if value is not None}
    if not sources:
        if not settings.cameras:
            hint = or_elsewhere(workspace, "Name one, or write [[run.cameras]] into aand-edge.toml.")
            raise UsageError("No source was named", hint)
        if given:
            raise UsageError(f"--{next(iter(given))} is for a source that is named", "Write it into aand-edge.toml.")
        named_cameras(settings.cameras, of_file=True)
        return list(settings.cameras)
    try:
        return [CameraSettings.model_validate({**_split(each), **given}) for each in sources]
    except ValidationError as error:
        raise refused_value(error, command) from None


def _split(source: str) -> dict[str, str]:
    """NAME=SOURCE; an = within a path or a URI is its own."""
    name, mark, rest = source.partition("=")
    if mark and name.replace("-", "").replace("_", "").isalnum():
        return {"name": name, "source": rest}
    return {"source": source}
