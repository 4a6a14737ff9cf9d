"""Everything that is looked at before training starts: files that cannot be read, masks that do not fit, leaks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aand_edge.data.layouts import Category, Sample
from aand_edge.data.pictures import decode_picture, read_bytes, read_mask
from aand_edge.errors import DataError

MIN_TRAIN = 8
SMALLEST_SIDE = 32  # pixels: what is smaller was a thumbnail or a placeholder, and shows no part after enlarging
NAMED = 3  # files that a message names before it counts the rest


@dataclass(frozen=True)
class DataReport:
    """What a category holds and what is wrong with it.

    counts     pictures of each kind: {"train": {"good": 320}, "test": {"good": 41, …}}
    sizes      how many pictures have a size: {"1024x1024": 480}
    digest     SHA-256 over names and contents of the training pictures
    problems   sentences; with any of them the data cannot be trained on
    warnings   sentences; what will be left out, and what looks odd
    """

    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    digest: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def raise_for_problems(self) -> None:
        """Raises DataError with all problems in one sentence each."""
        if self.problems:
            raise DataError("; ".join(self.problems), "Mend the data and try again; `aand-edge doctor` checks it.")

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def check_category(category: Category, progress: Callable[[int, int], None] | None = None) -> DataReport:
    """Decode every picture and mask of the category, once."""
    samples = [*category.train, *category.test]
    files: dict[Path, str] = {}
    contents: dict[Path, str] = {}
    small: dict[Path, str] = {}
    tiny: set[Path] = set()
    sizes: Counter[str] = Counter()
    problems: list[str] = []
    for number, sample in enumerate(samples):
        try:
            data = read_bytes(sample.path)
            files[sample.path] = hashlib.sha256(data).hexdigest()
            picture = decode_picture(data, sample.path)
            contents[sample.path] = _content(picture)
            height, width = picture.shape[:2]
            sizes[f"{width}x{height}"] += 1
            if min(width, height) < SMALLEST_SIDE:
                small[sample.path] = f"{sample.path} ({width}x{height})"
            if max(width, height) < SMALLEST_SIDE:  # the strip of a line-scan camera is narrow, and no thumbnail
                tiny.add(sample.path)
            if sample.mask is not None:
                read_mask(sample.mask, (height, width))
        except DataError as error:
            problems.append(error.message)
        if progress:
            progress(number + 1, len(samples))
    problems = _shorten(problems) + _mask_problems(category) + _split_problems(category, contents)
    train = {sample.path for sample in category.train if sample.path in contents}
    all_tiny = bool(train) and train <= tiny
    if all_tiny:
        problems.append(
            f"No training picture has a side of {SMALLEST_SIDE} pixels or more; copy them again in full: "
            f"{_named([*small.values()])}"
        )
    return DataReport(
        counts={"train": _kinds(category.train), "test": _kinds(category.test)},
        sizes=dict(sizes.most_common()),
        digest=_digest(category, files),
        problems=tuple(problems),
        warnings=tuple(_warnings(category, contents, sizes, {} if all_tiny else small)),
    )


def _content(picture: NDArray[np.uint8]) -> str:
    """SHA-256 of the pixels: a picture stays the same when it is saved anew without loss."""
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()


def _mask_problems(category: Category) -> list[str]:
    """A kind without any mask counts for image-level figures only; in a kind with masks, none may be missing."""
    masked = {sample.kind for sample in category.test if sample.mask is not None}
    missing = [s.path for s in category.test if s.kind in masked and s.anomalous and s.mask is None]
    return [f"Masks are missing, though others of their kind are there: {_named(missing)}"] if missing else []


def _split_problems(category: Category, contents: dict[Path, str]) -> list[str]:
    problems = []
    if len(category.train) < MIN_TRAIN:
        count = len(category.train)
        problems.append(f"{category.root} holds {count} training pictures; at least {MIN_TRAIN} are needed")
    train = {contents[sample.path] for sample in category.train if sample.path in contents}
    shared = [sample.path for sample in category.test if contents.get(sample.path) in train]
    if shared:
        problems.append(f"The same picture is in train and test: {_named(shared)}")
    good = {contents[s.path] for s in category.test if s.path in contents and not s.anomalous}
    both = [s.path for s in category.test if s.anomalous and contents.get(s.path) in good]
    if both:
        problems.append(f"The same picture is tested as good and as anomalous: {_named(both)}")
    return problems


def _warnings(
    category: Category, contents: dict[Path, str], sizes: Counter[str], small: dict[Path, str]
) -> Iterable[str]:
    if small:
        yield (
            f"Pictures with a side of fewer than {SMALLEST_SIDE} pixels count as any other, though they can show no "
            f"part; take them out, or copy them again in full: {_named([*small.values()])}"
        )
    if not category.test:
        yield "There are no test pictures: no accuracy will be measured"
    elif not any(sample.anomalous for sample in category.test):
        yield "The test split has no anomalies: image-level figures will be left out"
    elif all(sample.anomalous for sample in category.test):
        yield "The test split has no good parts: image-level figures will be left out"
    unmarked = [sample.path for sample in category.test if sample.anomalous and sample.mask is None]
    if unmarked:
        yield f"{len(unmarked)} anomalous test pictures have no mask: they count for image-level figures only"
    repeated = _repeated(category.train, contents)
    if repeated:
        yield f"Training pictures that repeat another one: {_named(repeated)}"
    if len(sizes) > 1:
        yield f"Pictures have {len(sizes)} different sizes: {', '.join(list(sizes)[:NAMED])}"


def _repeated(samples: Sequence[Sample], contents: dict[Path, str]) -> list[Path]:
    seen: set[str] = set()
    repeated = []
    for sample in samples:
        content = contents.get(sample.path, str(sample.path))
        if content in seen:
            repeated.append(sample.path)
        seen.add(content)
    return repeated


def _kinds(samples: Sequence[Sample]) -> dict[str, int]:
    return dict(sorted(Counter(sample.kind for sample in samples).items()))


def _digest(category: Category, files: dict[Path, str]) -> str:
    total = hashlib.sha256()
    for sample in category.train:
        name = sample.path.relative_to(category.root).as_posix()
        total.update(f"{name}\0{files.get(sample.path, '')}\n".encode())
    return total.hexdigest()


def _named(paths: Sequence[Path | str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(str(path) for path in paths[:NAMED]) + more


def _shorten(problems: list[str]) -> list[str]:
    most = 10
    return problems if len(problems) <= most else [*problems[:most], f"{len(problems) - most} more files have problems"]
