"""Every layout is read into the same samples, in a fixed order, and what does not fit is said in one sentence."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from aand_edge.data.layouts import Category, Sample, detect_layout, pictures_in, read_category
from aand_edge.errors import DataError, UsageError

SHARED = Path(os.environ.get("AAND_EDGE_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared")) / "data"


def touch(root: Path, *names: str) -> None:
    """Files whose content is their name: the layouts look at names, and at contents only to tell them apart."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def shown(category: Category, samples: tuple[Sample, ...]) -> list[tuple[str, str, str | None]]:
    def relative(path: Path) -> str:
        return path.relative_to(category.root).as_posix()

    return [(relative(s.path), s.kind, relative(s.mask) if s.mask else None) for s in samples]


@pytest.fixture
def screw(tmp_path: Path) -> Path:
    root = tmp_path / "screw"
    touch(root, "train/good/b.png", "train/good/a.JPG", "train/good/.hidden.png", "train/good/notes.txt")
    touch(root, "test/good/x.png", "test/bent/1.png", "test/bent/2.png", "test/unmarked/3.png")
    touch(root, "ground_truth/bent/1_mask.png", "ground_truth/bent/2.png")
    return root


def test_mvtec_is_read_in_order_with_its_masks(screw: Path) -> None:
    category = read_category(screw)
    assert (category.name, category.layout, category.root) == ("screw", "mvtec", screw)
    assert shown(category, category.train) == [("train/good/a.JPG", "good", None), ("train/good/b.png", "good", None)]
    assert shown(category, category.test) == [
        ("test/bent/1.png", "bent", "ground_truth/bent/1_mask.png"),
        ("test/bent/2.png", "bent", "ground_truth/bent/2.png"),
        ("test/good/x.png", "good", None),
        ("test/unmarked/3.png", "unmarked", None),
    ]


def test_a_category_is_found_under_the_data_root(screw: Path) -> None:
    assert read_category(screw.parent, category="screw") == read_category(screw)


def test_only_good_samples_are_not_anomalous() -> None:
    assert not Sample(Path("a.png"), "good").anomalous
    assert Sample(Path("a.png"), "bent").anomalous


def test_mvtec3d_takes_the_colour_pictures_only(tmp_path: Path) -> None:
    touch(tmp_path, "train/good/rgb/0.png", "train/good/xyz/0.tiff", "validation/good/rgb/0.png")
    touch(tmp_path, "test/hole/rgb/0.png", "test/hole/gt/0.png", "test/good/rgb/0.png", "test/good/gt/0.png")
    category = read_category(tmp_path)
    assert category.layout == "mvtec3d"
    assert shown(category, category.train) == [("train/good/rgb/0.png", "good", None)]
    assert shown(category, category.test) == [
        ("test/good/rgb/0.png", "good", None),
        ("test/hole/rgb/0.png", "hole", "test/hole/gt/0.png"),
    ]


VISA = [
    ("candle", "train", "normal", "candle/Data/Images/Normal/1.JPG", ""),
    ("candle", "train", "normal", "candle/Data/Images/Normal/0.JPG", ""),
    ("candle", "test", "normal", "candle/Data/Images/Normal/2.JPG", ""),
    ("candle", "test", "anomaly", "candle/Data/Images/Anomaly/0.JPG", "candle/Data/Masks/Anomaly/0.png"),
    ("pcb", "train", "normal", "pcb/Data/Images/Normal/0.JPG", ""),
]


def write_csv(root: Path, rows: list[tuple[str, ...]]) -> None:
    for row in rows:
        touch(root, *(name for name in row[3:5] if name and ".." not in name))
    (root / "split_csv").mkdir(exist_ok=True, parents=True)
    with (root / "split_csv" / "1cls.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("object", "split", "label", "image", "mask"), *rows])


def write_meta(root: Path, rows: list[tuple[str, ...]]) -> None:
    meta: dict[str, dict[str, list[dict[str, object]]]] = {"train": {}, "test": {}}
    for name, split, label, image, mask in rows:
        anomalous = label == "anomaly"
        entry = {"img_path": image, "mask_path": mask, "cls_name": name, "specie_name": "", "anomaly": int(anomalous)}
        meta[split].setdefault(name, []).append(entry)
    root.mkdir(exist_ok=True)
    (root / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


@pytest.mark.parametrize("write", [write_csv, write_meta])
def test_both_lists_of_visa_give_the_same_samples(tmp_path: Path, write: object) -> None:
    write(tmp_path, VISA)  # type: ignore[operator]
    category = read_category(tmp_path, category="candle")
    assert (category.name, category.layout) == ("candle", "visa")
    assert [path for path, _, _ in shown(category, category.train)] == [VISA[1][3], VISA[0][3]]
    assert shown(category, category.test) == [(VISA[3][3], "anomaly", VISA[3][4]), (VISA[2][3], "good", None)]


def test_a_visa_category_is_read_from_its_own_folder(tmp_path: Path) -> None:
    write_csv(tmp_path, VISA)
    assert read_category(tmp_path / "candle").train == read_category(tmp_path, category="candle").train


def test_kinds_of_a_meta_file_are_kept(tmp_path: Path) -> None:
    entry = {"img_path": "a/0.png", "mask_path": "", "cls_name": "a", "specie_name": "melt", "anomaly": 1}
    good = {**entry, "img_path": "a/1.png", "specie_name": "good", "anomaly": 0}
    (tmp_path / "meta.json").write_text(json.dumps({"train": {"a": [good]}, "test": {"a": [entry]}}))
    category = read_category(tmp_path)
    assert shown(category, category.test) == [("a/0.png", "melt", None)]


def test_visa_without_a_category_names_them_all(tmp_path: Path) -> None:
    write_csv(tmp_path, VISA)
    with pytest.raises(UsageError, match="candle, pcb"):
        read_category(tmp_path)
    with pytest.raises(UsageError, match=r"no category 'bolt'.*candle, pcb"):
        read_category(tmp_path, category="bolt")


@pytest.mark.parametrize("image", ["../secret.png", "/etc/secret.png"])
def test_a_listed_path_outside_the_data_is_refused(tmp_path: Path, image: str) -> None:
    write_meta(tmp_path, [("candle", "train", "normal", image, "")])
    with pytest.raises(DataError, match=r"secret\.png, which lies outside"):
        read_category(tmp_path, category="candle")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("split_csv/1cls.csv", "object,split,label\ncandle,train,normal\n"),
        ("split_csv/1cls.csv", "object,split,label,image,mask\ncandle,train,normal\n"),
        ("meta.json", "{"),
        ("meta.json", "[]"),
        ("meta.json", "{}"),
        ("meta.json", '{"train": {"candle": [{"img_path": "a.png"}]}}'),
    ],
)
def test_a_damaged_list_is_named(tmp_path: Path, name: str, content: str) -> None:
    touch(tmp_path, name)
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{Path(name).name}|list of pictures in"):
        read_category(tmp_path, category="candle")


def test_a_plain_folder_is_all_good(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.webp")
    category = read_category(tmp_path)
    assert category.layout == "folder"
    assert shown(category, category.train) == [("a.webp", "good", None), ("b.png", "good", None)]
    assert category.test == ()


def test_good_pictures_alone_all_train(tmp_path: Path) -> None:
    touch(tmp_path, *(f"good/{number}.png" for number in range(10)))
    category = read_category(tmp_path)
    assert len(category.train) == 10
    assert category.test == ()


def test_one_good_picture_in_five_is_tested_beside_defects(tmp_path: Path) -> None:
    touch(tmp_path, *(f"good/{number}.png" for number in range(50)), "dent/0.png", "crack/1.png")
    category = read_category(tmp_path)
    assert len(category.train) == 40
    assert sorted(sample.kind for sample in category.test) == ["crack", "dent"] + ["good"] * 10
    assert all(sample.mask is None for sample in category.test)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_few_good_pictures_still_leave_one_to_test(tmp_path: Path, count: int) -> None:
    touch(tmp_path, *(f"good/{number}.png" for number in range(count)), "dent/0.png")
    category = read_category(tmp_path)
    assert sum(not sample.anomalous for sample in category.test) == 1
    assert len(category.train) == count - 1


def test_the_split_follows_contents_and_not_names(tmp_path: Path) -> None:
    for number in range(20):
        touch(tmp_path, f"good/{number}.png", "dent/0.png")
        (tmp_path / "good" / f"renamed-{99 - number}.bmp").write_bytes(f"good/{number}.png".encode())
    category = read_category(tmp_path)
    train, test = ({s.path.read_bytes() for s in part if not s.anomalous} for part in (category.train, category.test))
    assert len(train) == 16
    assert not train & test


def test_loose_pictures_beside_folders_of_pictures_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "0.png", "good/1.png", "dent/2.png")
    with pytest.raises(DataError, match="dent, good"):
        read_category(tmp_path)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("train/good/0.png", "mvtec"),
        ("train/good/rgb/0.png", "mvtec3d"),
        ("meta.json", "visa"),
        ("good/0.png", "folder"),
        ("0.tif", "folder"),
    ],
)
def test_the_layout_is_seen_from_the_folders(tmp_path: Path, name: str, layout: str) -> None:
    touch(tmp_path, name)
    assert detect_layout(tmp_path) == layout


def test_a_file_called_meta_does_not_make_mvtec_visa(screw: Path) -> None:
    touch(screw, "meta.json")
    touch(screw.parent, "meta.json")
    assert detect_layout(screw) == "mvtec"


def test_wrong_paths_and_names_are_usage_errors(screw: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        read_category(screw / "absent")
    with pytest.raises(UsageError, match="no folder"):
        read_category(screw / "train" / "good" / "b.png")
    with pytest.raises(UsageError, match="no layout 'coco'"):
        read_category(screw, layout="coco")
    with pytest.raises(UsageError, match="bolt"):
        read_category(screw.parent, category="bolt")
    with pytest.raises(UsageError, match="neither"):
        read_category(screw, layout="visa")


def test_a_data_root_names_its_categories(screw: Path) -> None:
    touch(screw.parent, "nut/train/good/0.png")
    with pytest.raises(UsageError, match="nut, screw") as caught:
        read_category(screw.parent)
    assert "--category" in caught.value.hint


def test_an_empty_folder_fits_no_layout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures") as caught:
        read_category(tmp_path)
    assert "train/good" in caught.value.hint


@pytest.mark.parametrize("layout", ["auto", "mvtec", "folder"])
def test_a_folder_without_training_pictures_is_a_wrong_path(tmp_path: Path, layout: str) -> None:
    touch(tmp_path, "test/good/0.png")
    (tmp_path / "train" / "good").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"no training pictures in the (mvtec|folder) layout"):
        read_category(tmp_path, layout)


@pytest.mark.parametrize("layout", ["auto", "mvtec"])
def test_a_category_that_is_not_there_is_told_with_those_that_are(screw: Path, layout: str) -> None:
    touch(screw.parent, "nut/train/good/0.png", "cap/good/0.png", "notes/readme.png")
    with pytest.raises(UsageError, match=r"no category 'bolt' in .*; there are: cap, nut, screw\."):
        read_category(screw.parent, layout, "bolt")


def test_the_folders_of_a_category_are_no_categories(screw: Path) -> None:
    with pytest.raises(UsageError, match=r"no category 'bolt' in .*; it holds none") as caught:
        read_category(screw, category="bolt")
    assert "Leave --category out" in caught.value.hint


def test_a_list_beside_a_category_of_folders_does_not_hide_it(screw: Path) -> None:
    touch(screw.parent, "meta.json")
    assert read_category(screw.parent, category="screw").layout == "mvtec"


def test_a_visa_category_may_be_named_in_its_own_folder_too(tmp_path: Path) -> None:
    write_csv(tmp_path, VISA)
    assert read_category(tmp_path / "candle", category="candle").name == "candle"


def test_pictures_in_a_missing_folder_are_none(tmp_path: Path) -> None:
    assert pictures_in(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("name", "train", "test", "masks"), [("mvtec_ad/screw", 320, 160, 119), ("cookie", 31, 54, 32)]
)
def test_real_categories_have_their_counts(name: str, train: int, test: int, masks: int) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no pictures in {SHARED / name}")
    category = read_category(SHARED / name)
    assert (len(category.train), len(category.test)) == (train, test)
    assert sum(sample.mask is not None for sample in category.test) == masks
