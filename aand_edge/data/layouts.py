"""How pictures lie on disk: `mvtec`, `visa`, `mvtec3d` and `folder`, each read into the same `Category`.

mvtec     CATEGORY/train/good/*, CATEGORY/test/KIND/*, CATEGORY/ground_truth/KIND/STEM_mask.png
mvtec3d   CATEGORY/train/good/rgb/*, CATEGORY/test/KIND/rgb/*, CATEGORY/test/KIND/gt/*
visa      ROOT/split_csv/1cls.csv or ROOT/meta.json, which list pictures and masks by category
folder    DIR/* (all good), or DIR/good/* and DIR/KIND/* without masks
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aand_edge.data.pictures import PICTURE_SUFFIXES, read_bytes
from aand_edge.errors import DataError, UsageError

GOOD = "good"
VISA_CSV, VISA_META = Path("split_csv") / "1cls.csv", Path("meta.json")
TEST_SHARE = 5  # one good picture in so many is tested with, where the layout names no split


@dataclass(frozen=True)
class Sample:
    """A picture, what it shows ("good" or the name of a defect), and where the defect is, if anybody marked it."""

    path: Path
    kind: str
    mask: Path | None = None

    @property
    def anomalous(self) -> bool:
        return self.kind != GOOD


@dataclass(frozen=True)
class Category:
    """One kind of part: good pictures to train on, and pictures to test with."""

    name: str
    layout: str
    root: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]


def read_category(root: Path, layout: str = "auto", category: str | None = None) -> Category:
    """Read a category: `root` itself, or the one named `category` under it.

    Raises UsageError where the path, the layout or the category is not there or holds nothing to train on, DataError
    where the pictures that lie there cannot be used.
    """
    if root.is_file():
        raise UsageError(f"{root} is a file, and no folder", "Give --data the folder of the pictures.")
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}", "Check --data.")
    name = detect_layout(root, category) if layout == "auto" else layout
    if name not in READERS:
        raise UsageError(f"There is no layout '{layout}'", f"Choose one of: auto, {', '.join(READERS)}.")
    found = READERS[name](root, category)
    if not found.train:
        raise UsageError(f"{found.root} holds no training pictures in the {name} layout", "Check --data and --layout.")
    return found


def detect_layout(root: Path, category: str | None = None) -> str:
    """The layout that `root` looks like. Raises UsageError where it looks like none."""
    folder = root / category if category else root
    if (folder / "train" / GOOD / "rgb").is_dir():
        return "mvtec3d"
    if (folder / "train" / GOOD).is_dir():
        return "mvtec"
    if has_lists(root) or ((root / "Data" / "Images").is_dir() and has_lists(root.resolve().parent)):
        return "visa"
    category_folder(root, category)
    if pictures_in(folder) or (folder / GOOD).is_dir():
        return "folder"
    inside = categories_in(root)
    if inside and category is None:
        raise UsageError(f"{root} holds several categories: {', '.join(inside)}", "Name one with --category.")
    raise UsageError(
        f"{folder} holds no pictures in a layout that is known",
        "Put good pictures into it, or into train/good; see the README for the layouts.",
    )


def has_lists(root: Path) -> bool:
    """Whether `root` holds VisA's list of pictures, in one of its two forms."""
    return (root / VISA_CSV).is_file() or (root / VISA_META).is_file()


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, sorted by name."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def kinds_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def categories_in(root: Path) -> list[str]:
    """The names of the categories that are folders of `root`; none where it is a category itself."""
    return [] if is_category(root) else [each.name for each in kinds_in(root) if is_category(each)]


def is_category(folder: Path) -> bool:
    """Whether good pictures lie where those of a category do, and not those of several."""
    return (folder / "train" / GOOD).is_dir() or (folder / GOOD).is_dir()


def category_folder(root: Path, category: str | None) -> Path:
    """root/category, or root itself. Raises UsageError where there is no such folder."""
    if category is None:
        return root
    if not (root / category).is_dir():
        there = categories_in(root)
        told = f"there are: {', '.join(there)}" if there else "it holds none"
        hint = "Name one of them with --category." if there else "Leave --category out, or check --data."
        raise UsageError(f"There is no category '{category}' in {root}; {told}", hint)
    return root / category


def _read_mvtec(root: Path, category: str | None) -> Category:
    folder = category_folder(root, category)
    train = tuple(Sample(path, GOOD) for path in pictures_in(folder / "train" / GOOD))
    test = [
        Sample(path, kind.name, _mask_of(path, folder / "ground_truth" / kind.name) if kind.name != GOOD else None)
        for kind in kinds_in(folder / "test")
        for path in pictures_in(kind)
    ]
    return Category(folder.resolve().name, "mvtec", folder, train, tuple(test))


def _mask_of(picture: Path, folder: Path) -> Path | None:
    for name in (f"{picture.stem}_mask", picture.stem):
        for suffix in (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg"):
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    return None


def _read_mvtec3d(root: Path, category: str | None) -> Category:
    folder = category_folder(root, category)
    train = tuple(Sample(path, GOOD) for path in pictures_in(folder / "train" / GOOD / "rgb"))
    test = [
        Sample(path, kind.name, _mask_of(path, kind / "gt") if kind.name != GOOD else None)
        for kind in kinds_in(folder / "test")
        for path in pictures_in(kind / "rgb")
    ]
    return Category(folder.resolve().name, "mvtec3d", folder, train, tuple(test))


def _read_visa(root: Path, category: str | None) -> Category:
    from aand_edge.data.visa import read_visa

    return read_visa(root, category)


def _read_folder(root: Path, category: str | None) -> Category:
    folder = category_folder(root, category)
    own = pictures_in(folder)
    if own:
        _refuse_mixture(folder)
        return Category(folder.resolve().name, "folder", folder, tuple(Sample(path, GOOD) for path in own), ())
    defects = [Sample(p, kind.name) for kind in kinds_in(folder) if kind.name != GOOD for p in pictures_in(kind)]
    goods = [Sample(path, GOOD) for path in pictures_in(folder / GOOD)]
    # Without defects there is nothing to test, so every good picture trains.
    test_goods = _test_goods(goods) if defects else set()
    train = tuple(sample for sample in goods if sample not in test_goods)
    test = tuple(sample for sample in goods if sample in test_goods) + tuple(defects)
    return Category(folder.resolve().name, "folder", folder, train, test)


def _refuse_mixture(folder: Path) -> None:
    beside = [kind.name for kind in kinds_in(folder) if pictures_in(kind)]
    if beside:
        raise DataError(
            f"{folder} holds pictures, and the folders {', '.join(beside)} with pictures beside them",
            f"Move the good pictures into {folder / GOOD}.",
        )


def _test_goods(goods: Sequence[Sample]) -> set[Sample]:
    """One good picture in five, at least one: those of the smallest SHA-256, whatever they are called.

    Copies of one picture stay together, so that none is in both splits.
    """
    digests = {sample: hashlib.sha256(read_bytes(sample.path)).digest() for sample in goods}
    ranked = sorted(set(digests.values()))
    chosen = set(ranked[: max(1, len(ranked) // TEST_SHARE)])
    return {sample for sample, digest in digests.items() if digest in chosen}


READERS: dict[str, Callable[[Path, str | None], Category]] = {
    "mvtec": _read_mvtec,
    "visa": _read_visa,
    "mvtec3d": _read_mvtec3d,
    "folder": _read_folder,
}
