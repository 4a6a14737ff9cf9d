"""What lies on disk: atomic writes, digests, the model card, the manifest.

Every file is written beside its final name and moved there when whole, so that a reader never meets half a file.
Nothing here needs torch or onnx: the edge device reads all of it with numpy and pydantic.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from aand_edge.errors import ArtefactMismatchError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Precision = Literal["fp32", "fp16", "int8"]

FALSE_REJECTS = 0.01  # share of good parts that may be rejected, where nothing else is asked for

MOST_THREADS = 1024  # of a CPU engine: more than any machine has cores, fewer than a process may start

WEIGHTS, CARD = "model.safetensors", "card.json"  # in a model's folder

DAMAGED = "is damaged: it is cut off or was written over"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it on success and removed on any failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make the folder and write into it. Raises OSError now, rather than when hours of work are to be saved."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. Raises ValueError for a number that JSON does not have."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(stream)


def _sha256(stream: Any) -> str:  # Python 3.10 has no hashlib.file_digest
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _finite(value: Any) -> Any:
    """JSON of any kind, as it is. Raises ValueError where a number in it is not finite: it could not be written."""
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            _finite(each)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number in it is not finite")
    return value


def _own_name(name: str) -> str:
    """A file's or model's name. Raises ValueError where it would lead into another folder, or nowhere."""
    if not name or name in (".", "..") or set(name) & {"/", os.sep, "\0"}:
        raise ValueError("it is no name of a file")
    return name


def _of_a_category(data: dict[str, Any]) -> dict[str, Any]:
    for name in ("root", "category"):
        if not isinstance(data.get(name), str):
            raise ValueError(f"it names no {name}")
    return data


Facts = Annotated[dict[str, Any], AfterValidator(_finite)]
TrainedOn = Annotated[Facts, AfterValidator(_of_a_category)]
OwnName = Annotated[str, AfterValidator(_own_name)]


class Record(BaseModel):
    """A JSON file with a fixed set of fields; unknown or ill-typed ones are refused with the file's name.

    called   what a person calls such a file
    again    how it comes to be whole again
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)
    called: ClassVar[str] = "record"
    again: ClassVar[str] = "Build or train it again."

    def write(self, path: Path) -> None:
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls: type[RecordT], path: Path) -> RecordT:
        """Raises ArtefactMismatchError where the file is missing or is not such a record."""
        what = f"The {cls.called} {path}"
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ArtefactMismatchError(f"{what} is missing", cls.again) from None
        except ValidationError as error:
            raise ArtefactMismatchError(f"{what} {_fault(error.errors()[0])}", cls.again) from None
        except UnicodeDecodeError:
            raise ArtefactMismatchError(f"{what} {DAMAGED}", cls.again) from None
        except OSError as error:
            raise ArtefactMismatchError(f"{what} cannot be read ({error.strerror or error})", cls.again) from None


def one_line(name: str) -> str:
    """A name out of a file of strangers, as it may stand in a sentence: what cannot be printed is escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in name)


def _fault(error: ErrorDetails) -> str:
    """What is wrong with a record, as the end of a sentence."""
    if not error["loc"]:  # the file as a whole: no JSON, or no object
        return DAMAGED
    field = one_line(".".join(str(part) for part in error["loc"]))
    if error["type"] == "missing":
        return f"lacks '{field}'"
    if error["type"] == "extra_forbidden":
        return f"has '{field}', which this version of aand-edge does not know"
    return f"has a '{field}' that cannot be used: {error['msg'].removeprefix('Value error, ')}"


RecordT = TypeVar("RecordT", bound=Record)


class Threshold(Record):
    """The score above which a part is rejected, and what that promises.

    `promised_false_rejects` is the share of good parts that will be rejected at most, on average over
    draws of the held-out set (split conformal), or None where the rule promises nothing of the kind.
    """

    value: float
    rule: Literal["conformal", "f1", "rate", "manual"]
    asked_false_rejects: float | None = None
    promised_false_rejects: float | None = Field(default=None, ge=0, le=1)
    calibrated_on: int = Field(default=0, ge=0)  # how many pictures the value was read from
    note: str = ""

    def rejects(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """True where a score lies strictly above the threshold, or is no number: such a part must not pass."""
        return ~(np.asarray(scores) <= self.value)


def lies_within(roi: tuple[int, ...], frame: tuple[int, ...]) -> bool:
    """Whether x, y, width, height is a region of a frame of that height and width."""
    x, y, width, height = roi
    return min(x, y) >= 0 and min(width, height) >= 1 and x + width <= frame[1] and y + height <= frame[0]


class Region(BaseModel):
    """The part of a camera's pictures that a model was trained on.

    frame   height and width of the pictures
    roi     x, y, width, height of the part
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frame: tuple[int, int]
    roi: tuple[int, int, int, int]

    @model_validator(mode="after")
    def _within(self) -> Region:
        if not lies_within(self.roi, self.frame):
            raise ValueError(f"the region {self} leaves the picture")
        return self

    def __str__(self) -> str:
        (height, width), (x, y, w, h) = self.frame, self.roi
        return f"{w}x{h}+{x}+{y} of {width}x{height}"


class ModelCard(Record):
    """What a trained model is, where it came from and how it was judged; lies beside `model.safetensors`."""

    called = "model card"
    again = "Copy it again from where it was trained, or train it again with `aand-edge train`."

    format: Literal[1] = 1
    name: OwnName
    backbone: str
    size: int
    region: Region | None = None  # of the pictures; None: all of them, at whatever size they have
    amplify: bool
    hard_patches: int
    seed: int
    data: TrainedOn  # root, layout, category, counts and the digest of the training pictures
    holdout: list[str]  # training pictures kept out of training, relative to the data root
    recipe: Facts  # epochs, batch, learning rate, schedule of both stages
    protocol: str  # how the epoch and the threshold were chosen, in one sentence
    weights: Facts  # where the teacher came from, and the SHA-256 of model.safetensors
    versions: dict[str, str]
    seconds: dict[str, float]
    level_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of the levels' distances in the map
    threshold: Threshold | None = None  # from held-out normals; belongs to the PyTorch model
    metrics: dict[str, float | None] | None = None  # written by `eval`, never read by training


class Acceptance(Record):
    """What an engine answered on the held-out pictures, beside the fp32 reference."""

    pictures: int
    score_error_mean: float  # |engine − reference|, in score units
    score_error_max: float
    score_spread: float  # standard deviation of the reference scores: what the errors are small against
    flips: int  # verdicts that differ when each is judged by its own threshold
    scores: list[float]
    brightness: list[float] = []  # mean grey level of what was scored; empty in manifests older than drift


class EngineFacts(Record):
    """What an engine is, what it was built from, and the machine it belongs to."""

    called = "engine manifest"
    again = "Copy it again with its engine, or build the engine again with `aand-edge build`."

    format: Literal[1] = 1
    name: OwnName
    model: OwnName
    engine: OwnName  # file name, in the same folder
    engine_sha256: str
    graph: OwnName  # file name of the fused graph
    graph_sha256: str
    weights: str = ""  # SHA-256 of the model.safetensors that the graph was written from
    size: int
    frame: tuple[int, int]  # height, width of the picture that the engine takes
    colour: str
    roi: tuple[int, int, int, int] | None  # of the frame, x, y, width, height; None: all of it
    batch: int
    precision: Precision  # asked for
    executed: dict[str, int]  # precision found: layers of each element type, as the backend reports them
    precision_note: str = ""  # a sentence where what runs differs from what was asked for
    backend: str
    backend_version: str
    device: dict[str, str]  # what must be the same where the engine runs
    options: Facts
    calibration: str | None = None  # key of the calibration table
    calibrated_on: int = 0  # held-out pictures that its ranges were read from; see `calibration_rows`
    quantised: tuple[str, ...] = ()  # regions of an int8 engine
    weight_bits: int | None = None  # of its weights
    budget: Facts | None = None  # what `build --max-drop` tried and chose (engines.budget.BudgetReport)
    built: str  # ISO 8601, UTC


class EngineManifest(EngineFacts):
    """Beside an engine file: its facts, how it answered on held-out pictures, and its threshold."""

    acceptance: Acceptance
    threshold: Threshold


class PendingEngine(EngineFacts):
    """Beside an engine that was built on another machine than it runs on: it judges nothing before it is accepted."""

    holdout: OwnName  # file name of the held-out set to accept it on
