"""What a fused graph says of itself, read from its file without the onnx package, which a device does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from aand_edge.artifacts import EngineFacts, ModelCard, Precision, lies_within, sha256_file
from aand_edge.errors import ArtefactMismatchError, UsageError
from aand_edge.holdout import HoldoutSet

FORMAT = 2  # what `export` writes
SEALED = 2  # graphs of this format and later carry their own SHA-256; of the first, some


@dataclass(frozen=True)
class GraphFacts:
    """The `metadata_props` of a fused graph.

    name        the model's name
    backbone    the teacher's backbone
    size        side S of the map, pixels
    frame       height and width of the picture that the graph takes, pixels
    colour      order of the input's channels, "BGR" or "RGB"
    precision   of the trunk: fp32 or fp16; int8 is fp16 with Q/DQ pairs on top
    weights     SHA-256 of model.safetensors
    batch       N of the static input shape
    roi         x, y, width, height of the part of the frame that the graph looks at; None: all of it
    float32     regions of a half trunk that stay in float32, since they would overflow
    calibration key of the calibration table; "" where nothing is quantised
    calibrated_on   held-out pictures that its ranges were read from
    quantised   the regions with Q/DQ pairs
    weight_bits of quantised weights
    format      of the file
    """

    name: str
    backbone: str
    size: int
    frame: tuple[int, int]
    colour: str
    precision: Precision
    weights: str
    batch: int = 1
    roi: tuple[int, int, int, int] | None = None
    float32: tuple[str, ...] = ()
    calibration: str = ""
    calibrated_on: int = 0
    quantised: tuple[str, ...] = ()
    weight_bits: int = 8
    format: int = FORMAT

    PREFIX = "aand."

    def to_metadata(self) -> dict[str, str]:
        """As ONNX metadata_props."""
        roi = ",".join(map(str, self.roi)) if self.roi else ""
        regions = {"float32": ",".join(self.float32), "quantised": ",".join(self.quantised)}
        fields = {**self.__dict__, "frame": f"{self.frame[1]}x{self.frame[0]}", "roi": roi, **regions}
        return {self.PREFIX + key: str(value) for key, value in fields.items()}

    @classmethod
    def from_graph(cls, path: Path) -> GraphFacts:
        """Read from an ONNX file. Raises ArtefactMismatchError where it is not a fused AAND graph."""
        props = read_metadata(path)
        facts = {key[len(cls.PREFIX) :]: value for key, value in props.items() if key.startswith(cls.PREFIX)}
        try:
            width, height = (int(part) for part in facts["frame"].split("x"))
            x, y, w, h = (int(part) for part in (facts["roi"] or "0,0,0,0").split(","))
            found = cls(
                name=facts["name"],
                backbone=facts["backbone"],
                size=int(facts["size"]),
                frame=(height, width),
                colour=facts["colour"],
                precision=facts["precision"],  # type: ignore[arg-type]
                weights=facts["weights"],
                batch=int(facts["batch"]),
                roi=(x, y, w, h) if facts["roi"] else None,
                float32=tuple(filter(None, facts["float32"].split(","))),
                calibration=facts["calibration"],
                calibrated_on=int(facts.get("calibrated_on", 0)),  # graphs of before do not tell
                quantised=tuple(filter(None, facts["quantised"].split(","))),
                weight_bits=int(facts["weight_bits"]),
                format=int(facts["format"]),
            )
            found._check()
            return found
        except (KeyError, ValueError) as error:
            raise ArtefactMismatchError(
                f"{path} is not a fused AAND graph ({error} is missing or wrong in its metadata)",
                "Write one with `aand-edge export`.",
            ) from None

    def _check(self) -> None:
        """Raises ValueError with the name of a fact that no graph has."""
        possible = {
            "name": bool(self.name),
            "size": self.size >= 1,
            "frame": min(self.frame) >= 1,
            "colour": self.colour in ("BGR", "RGB"),
            "precision": self.precision in get_args(Precision),
            "batch": self.batch >= 0,  # 0: of any number, as a server takes them
            "roi": self.roi is None or lies_within(self.roi, self.frame),
            "calibrated_on": self.calibrated_on >= 0,
            "weight_bits": self.weight_bits >= 1,
            "format": self.format >= 1,
        }
        for fact, holds in possible.items():
            if not holds:
                raise ValueError(f"'{fact}'")


SEAL = b"aand.sha256"
# An entry of metadata_props (field 14) with that key and 64 hex digits, up to these digits.
_SEALED = bytes([14 << 3 | 2, 4 + len(SEAL) + 64, 1 << 3 | 2, len(SEAL)]) + SEAL + bytes([2 << 3 | 2, 64])


def seal(graph: Path) -> None:
    """Append the SHA-256 of an ONNX file to its own metadata, so that a copy of it can be checked alone."""
    digest = sha256_file(graph)
    with graph.open("ab") as file:
        file.write(_SEALED + digest.encode())


def check_seal(graph: Path) -> bool:
    """Whether a graph carries its SHA-256: False where an older version wrote it, so that damage cannot be told.

    Raises ArtefactMismatchError where it is not as it was written, or has lost its SHA-256.
    """
    data = graph.read_bytes()
    start = data.rfind(_SEALED)
    if start < 0:
        if GraphFacts.from_graph(graph).format >= SEALED:
            raise ArtefactMismatchError(
                f"{graph} is damaged: the SHA-256 that it was written with is not in it", "Export the graph again."
            )
        return False
    end = start + len(_SEALED) + 64
    digest = hashlib.sha256(memoryview(data)[:start])
    digest.update(memoryview(data)[end:])
    if digest.hexdigest().encode() != data[end - 64 : end]:
        raise ArtefactMismatchError(f"{graph} is damaged: its bytes are not those written", "Export the graph again.")
    return True


def frame_of(
    card: ModelCard, asked: tuple[int, int] | None
) -> tuple[tuple[int, int], tuple[int, int, int, int] | None]:
    """Height and width of the frames that a model's graph takes, and the region of them that it looks at.

    asked   width and height; None: as the model was trained

    Raises UsageError where the model was trained on a region of other frames.
    """
    if card.region is None:
        return (asked[1], asked[0]) if asked else (card.size, card.size), None
    height, width = card.region.frame
    if asked is not None and asked != (width, height):
        raise UsageError(f"{card.name} looks at the region {card.region}", f"Leave --frame {_by(asked)} out.")
    return card.region.frame, card.region.roi


def _by(frame: tuple[int, int]) -> str:
    return f"{frame[0]}x{frame[1]}"


def graph_stem(name: str, frame: tuple[int, int] | None, batch: int = 1) -> str:
    """What the files of one export begin with: the model's name, the frame (width, height) where that is not the
    model's own, and several at a time: "part-1280x720-b2".
    """
    of_frame = "" if frame is None else f"-{_by(frame)}"
    return name + of_frame + (f"-b{batch}" if batch > 1 else "")


def stem_of(graph: Path) -> str:
    """NAME.PRECISION.onnx → NAME, which the held-out set beside it and the engines made of it begin with."""
    return graph.name.removesuffix(".onnx").rpartition(".")[0] or graph.stem


def holdout_path(folder: Path, stem: str) -> Path:
    """Where the held-out set of the graphs of that stem lies."""
    return folder / f"{stem}.holdout.npz"


def read_holdout(path: Path, graph: GraphFacts | EngineFacts) -> HoldoutSet:
    """The held-out set of a graph or an engine.

    Raises ArtefactMismatchError, naming both sides, where it was written for another frame, region or channel order,
    or scored by another training: one file serves the exports of a frame, and the last of them wrote it.
    """
    holdout = HoldoutSet.read(path)
    height, width = holdout.frames.shape[1:3]
    there = {
        "frames": f"{width}x{height}",
        "region": _shown(holdout.roi),
        "channel order": holdout.colour,
        "weights": holdout.weights[:12],
    }
    wanted = {
        "frames": f"{graph.frame[1]}x{graph.frame[0]}",
        "region": _shown(graph.roi),
        "channel order": graph.colour,
        "weights": graph.weights[:12],
    }
    for fact, value in wanted.items():
        if there[fact] != value:
            raise ArtefactMismatchError(
                f"{path} was written for {fact} {there[fact]}, {graph.name} has {value}",
                "Export the graph again: the held-out set is written beside it.",
            )
    return holdout


def _shown(roi: tuple[int, int, int, int] | None) -> str:
    return ",".join(map(str, roi)) if roi else "all of the frame"


def read_metadata(path: Path) -> dict[str, str]:
    """`metadata_props` of an ONNX file: field 14 of ModelProto (onnx.proto3), each a StringStringEntryProto.

    The edge device has no onnx package, and these few strings are all it needs from the file.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise ArtefactMismatchError(f"{path} cannot be read", "Write it again with `aand-edge export`.") from None
    props: dict[str, str] = {}
    try:
        for number, value in _fields(data):
            if number == 14 and isinstance(value, bytes):
                entry = {key: text for key, text in _fields(value) if isinstance(text, bytes)}
                props[entry[1].decode()] = entry[2].decode()
    except (IndexError, KeyError, ValueError):
        raise ArtefactMismatchError(f"{path} is no ONNX file", "Write it again with `aand-edge export`.") from None
    return props


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field of a protobuf message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError("truncated")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
