"""The VisA data set: pictures and masks of a category are listed in `split_csv/1cls.csv` or in `meta.json`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from aand_edge.data.layouts import GOOD, VISA_CSV, VISA_META, Category, Sample, has_lists
from aand_edge.errors import DataError, UsageError

ANOMALY = "anomaly"


def read_visa(root: Path, category: str | None) -> Category:
    """Read one category; without a name, the only one there is."""
    root, category = _data_root(root, category)
    rows = _from_csv(root / VISA_CSV) if (root / VISA_CSV).is_file() else _from_meta(root / VISA_META)
    names = sorted({row["category"] for row in rows})
    if not names:
        raise DataError(f"The list of pictures in {root} is empty", "Restore the file.")
    if category is None and len(names) == 1:
        category = names[0]
    if category not in names:
        wrong = f"There is no category '{category}' in {root}; there are" if category else f"{root} holds several"
        raise UsageError(f"{wrong}: {', '.join(names)}", "Name one with --category.")
    mine = [row for row in rows if row["category"] == category]
    split = {
        part: tuple(sorted((_sample(root, row) for row in mine if row["split"] == part), key=lambda s: s.path))
        for part in ("train", "test")
    }
    return Category(category, "visa", root, split["train"], split["test"])


Row = dict[str, str]  # category, split, kind, image, mask


def _data_root(root: Path, category: str | None) -> tuple[Path, str | None]:
    """The folder of the lists, and the category: `root` may be a category's own folder, one below the lists."""
    if not has_lists(root) and has_lists(root.resolve().parent):
        return root.resolve().parent, category or root.resolve().name
    return root, category


def _sample(root: Path, row: Row) -> Sample:
    return Sample(_inside(root, row["image"]), row["kind"], _inside(root, row["mask"]) if row["mask"] else None)


def _inside(root: Path, name: str) -> Path:
    """Raises DataError where a listed path leaves the data root."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"The lists of {root} name {name}, which lies outside", "Give paths relative to that folder.")
    return root / name


def _from_csv(path: Path) -> list[Row]:
    """Columns object, split, label ("normal" or "anomaly"), image, mask."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = list(csv.DictReader(stream))
    if any(None in line.values() for line in lines):
        raise DataError(f"{path} has a line with too few columns", "Restore the file.")
    try:
        return [
            {
                "category": line["object"],
                "split": line["split"],
                "kind": GOOD if line["label"] == "normal" else ANOMALY,
                "image": line["image"],
                "mask": line["mask"] or "",
            }
            for line in lines
        ]
    except KeyError as error:
        raise DataError(f"{path} has no column {error}", "It must have object, split, label, image and mask.") from None


def _from_meta(path: Path) -> list[Row]:
    """{split: {category: [{img_path, mask_path, specie_name, anomaly}]}}."""
    if not path.is_file():
        raise UsageError(f"There is neither {VISA_CSV} nor {VISA_META} in {path.parent}", "Check --data and --layout.")
    try:
        meta: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(path.read_text(encoding="utf-8"))
        return [
            {
                "category": category,
                "split": split,
                "kind": (entry.get("specie_name") or ANOMALY) if entry["anomaly"] else GOOD,
                "image": entry["img_path"],
                "mask": entry.get("mask_path") or "",
            }
            for split, categories in meta.items()
            for category, entries in categories.items()
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no VisA meta file ({type(error).__name__}: {error})", "Restore the file.") from None
