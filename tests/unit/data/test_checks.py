"""What would spoil a training or a figure is found before either starts, and named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aand_edge.data.checks import DataReport, check_category
from aand_edge.data.layouts import read_category
from aand_edge.errors import DataError

SHARED = Path(os.environ.get("AAND_EDGE_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared")) / "data"


def draw(seed: int, side: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A faultless category: 8 to train with, 2 good and 2 dented to test with."""
    root = tmp_path / "part"
    for number in range(8):
        save(root / "train" / "good" / f"{number}.png", draw(number))
    for number in range(2):
        save(root / "test" / "good" / f"{number}.png", draw(100 + number))
        save(root / "test" / "dent" / f"{number}.png", draw(200 + number))
        save(root / "ground_truth" / "dent" / f"{number}_mask.png", np.full((32, 32), 255, np.uint8))
    return root


def check(root: Path) -> DataReport:
    return check_category(read_category(root))


def only_problem(root: Path) -> str:
    problems = check(root).problems
    assert len(problems) == 1, problems
    return problems[0]


def test_a_faultless_category_has_no_problem(part: Path) -> None:
    report = check(part)
    assert (report.problems, report.warnings) == ((), ())
    assert report.counts == {"train": {"good": 8}, "test": {"dent": 2, "good": 2}}
    assert report.sizes == {"32x32": 12}
    report.raise_for_problems()


def test_the_report_is_plain_json(part: Path) -> None:
    report = check(part)
    read = json.loads(json.dumps(report.to_dict()))
    assert read["digest"] == report.digest
    assert read["counts"] == report.counts
    assert read["problems"] == []


def test_progress_is_told_for_every_picture(part: Path) -> None:
    told: list[tuple[int, int]] = []
    check_category(read_category(part), lambda done, total: told.append((done, total)))
    assert told == [(number, 12) for number in range(1, 13)]


def test_the_digest_follows_names_and_contents_of_training_alone(part: Path) -> None:
    first = check(part).digest
    assert len(first) == 64
    save(part / "test" / "good" / "9.png", draw(300))
    assert check(part).digest == first
    (part / "train" / "good" / "7.png").rename(part / "train" / "good" / "8.png")
    renamed = check(part).digest
    save(part / "train" / "good" / "8.png", draw(301))
    assert len({first, renamed, check(part).digest}) == 3


def test_the_digest_does_not_depend_on_where_the_data_lies(part: Path) -> None:
    first = check(part).digest
    assert check(part.rename(part.parent / "elsewhere")).digest == first


def test_a_truncated_picture_is_named(part: Path) -> None:
    path = part / "train" / "good" / "3.png"
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in only_problem(part)
    assert "truncated" in only_problem(part)


def test_a_file_that_is_no_picture_is_named(part: Path) -> None:
    (part / "test" / "dent" / "0.png").write_text("not a picture")
    assert str(part / "test" / "dent" / "0.png") in only_problem(part)


def test_a_mask_of_another_size_is_named_with_both_sizes(part: Path) -> None:
    mask = part / "ground_truth" / "dent" / "1_mask.png"
    save(mask, np.zeros((8, 32), np.uint8))
    assert all(words in only_problem(part) for words in (str(mask), "32x8", "32x32"))


def test_a_missing_mask_among_others_is_a_problem(part: Path) -> None:
    (part / "ground_truth" / "dent" / "0_mask.png").unlink()
    assert str(part / "test" / "dent" / "0.png") in only_problem(part)


def test_a_kind_without_any_mask_is_a_warning(part: Path) -> None:
    save(part / "test" / "crack" / "0.png", draw(400))
    report = check(part)
    assert report.problems == ()
    assert any("1 anomalous" in warning and "image-level" in warning for warning in report.warnings)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_the_same_picture_in_train_and_test_is_a_problem_however_saved(part: Path, suffix: str) -> None:
    save(part / "test" / "good" / f"copy{suffix}", draw(4))
    assert "train and test" in only_problem(part)
    assert f"copy{suffix}" in only_problem(part)


def test_the_same_picture_as_good_and_as_anomalous_is_a_problem(part: Path) -> None:
    save(part / "test" / "good" / "copy.png", draw(200))
    assert "as good and as anomalous" in only_problem(part)


def test_copies_within_training_are_a_warning(part: Path) -> None:
    save(part / "train" / "good" / "copy.png", draw(4))
    report = check(part)
    assert report.problems == ()
    assert any("copy.png" in warning for warning in report.warnings)


def test_too_few_pictures_are_a_problem_with_both_numbers(part: Path) -> None:
    (part / "train" / "good" / "7.png").unlink()
    assert "7 training pictures" in only_problem(part)
    assert "8" in only_problem(part)


@pytest.mark.parametrize(("removed", "words"), [("dent", "no anomalies"), ("good", "no good")])
def test_a_one_sided_test_split_is_a_warning(part: Path, removed: str, words: str) -> None:
    for path in (part / "test" / removed).iterdir():
        path.unlink()
    report = check(part)
    assert report.problems == ()
    assert any(words in warning and "left out" in warning for warning in report.warnings)


def test_an_empty_test_split_is_a_warning(part: Path) -> None:
    for path in (part / "test").glob("*/*"):
        path.unlink()
    assert any("no test pictures" in warning for warning in check(part).warnings)


def test_mixed_sizes_are_a_warning(part: Path) -> None:
    save(part / "train" / "good" / "wide.png", draw(500, side=40))
    report = check(part)
    assert report.sizes == {"32x32": 12, "40x40": 1}
    assert any("sizes" in warning for warning in report.warnings)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (31, 400), (400, 31)])
def test_a_picture_that_is_too_small_to_show_a_part_is_named_in_a_warning(part: Path, width: int, height: int) -> None:
    path = part / "train" / "good" / "thumbnail.png"
    save(path, np.zeros((height, width, 3), np.uint8))
    report = check(part)
    assert report.problems == ()
    assert report.warnings[0].endswith(f"take them out, or copy them again in full: {path} ({width}x{height})")


def test_pictures_that_are_all_too_small_are_a_problem(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path / f"{number}.png", draw(number, side=31))
    report = check(tmp_path)
    (problem,) = report.problems
    assert problem.startswith("No training picture has a side of 32 pixels or more; copy them again in full: ")
    assert problem.endswith("2.png (31x31) and 5 more")
    assert not any("fewer than" in warning for warning in report.warnings)


def test_the_strips_of_a_line_scan_camera_are_taken_with_a_warning(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path / f"{number}.png", np.full((24, 400, 3), number, np.uint8))
    report = check(tmp_path)
    assert report.problems == ()
    assert report.warnings[0].startswith("Pictures with a side of fewer than 32 pixels")


def test_all_problems_are_raised_together(part: Path) -> None:
    (part / "train" / "good" / "7.png").write_bytes(b"")
    save(part / "test" / "good" / "copy.png", draw(4))
    with pytest.raises(DataError, match=r"7\.png is empty; .*copy\.png") as caught:
        check(part).raise_for_problems()
    assert caught.value.hint


def test_many_problems_are_counted_and_not_listed(part: Path) -> None:
    for number in range(30):
        path = part / "train" / "good" / f"bad{number}.png"
        path.write_bytes(b"")
    problems = check(part).problems
    assert len(problems) == 11
    assert "20 more" in problems[-1]


@pytest.mark.parametrize("name", ["mvtec_ad/screw", "cookie"])
def test_real_categories_have_no_problem(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no pictures in {SHARED / name}")
    assert check(SHARED / name).problems == ()
