"""What lies on disk is whole or not there, and is read back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aand_edge.artifacts import (
    EngineManifest,
    ModelCard,
    Record,
    Threshold,
    atomic_path,
    sha256_file,
    write_json,
    write_text,
)
from aand_edge.errors import ArtefactMismatchError
from aand_edge.holdout import HoldoutSet


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail() -> None:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_json_keeps_letters_as_they_are(tmp_path: Path) -> None:
    write_json(tmp_path / "sub/a.json", {"part": "Prüfung"})
    assert "Prüfung" in (tmp_path / "sub/a.json").read_text(encoding="utf-8")


def test_a_number_that_json_does_not_have_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"budget_ms": float("inf")})
    assert not list(tmp_path.iterdir())


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_held_out_set_is_read_back(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    HoldoutSet(frames, np.array([1, 2, 3], np.float32), ("a", "ü", "c"), "BGR", (1, 2, 3, 4), "w").write(
        tmp_path / "h.npz"
    )
    again = HoldoutSet.read(tmp_path / "h.npz")
    assert np.array_equal(again.frames, frames)
    assert (again.colour, again.roi, again.weights) == ("BGR", (1, 2, 3, 4), "w")
    assert again.scores.tolist() == [1, 2, 3]
    assert again.names == ("a", "ü", "c")


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_held_out_set_is_refused(tmp_path: Path, keep: int) -> None:
    whole = HoldoutSet(np.zeros((3, 8, 9, 3), np.uint8), np.zeros(3, np.float32), ("a", "b", "c"), "BGR", None, "")
    whole.write(tmp_path / "h.npz")
    (tmp_path / "h.npz").write_bytes((tmp_path / "h.npz").read_bytes()[:keep])
    with pytest.raises(ArtefactMismatchError, match=r"h\.npz cannot be read"):
        HoldoutSet.read(tmp_path / "h.npz")


def test_a_held_out_set_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtefactMismatchError, match=r"h\.npz is missing"):
        HoldoutSet.read(tmp_path / "h.npz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"format": 1, "name": "pa', "is damaged: it is cut off or was written over"),
        (b"[]", "is damaged: it is cut off or was written over"),
        (b"\xff\xfe\x00", "is damaged: it is cut off or was written over"),
        (b"{}", "lacks 'name'"),
        (b'{"name": 3}', "has a 'name' that cannot be used: Input should be a valid string"),
    ],
)
@pytest.mark.parametrize(("record", "called"), [(ModelCard, "model card"), (EngineManifest, "engine manifest")])
def test_a_damaged_record_is_told_in_a_plain_sentence_with_the_next_step(
    tmp_path: Path, record: type[Record], called: str, content: bytes, said: str
) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ArtefactMismatchError) as raised:
        record.read(path)
    assert raised.value.message == f"The {called} {path} {said}"
    assert raised.value.hint.startswith("Copy it again")
    assert raised.value.exit_code == 4


def test_a_record_with_another_field_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "threshold.json").write_text('{"value": 1, "rule": "manual", "colour": 2}')
    with pytest.raises(ArtefactMismatchError, match=r"threshold\.json has 'colour', which this version"):
        Threshold.read(tmp_path / "threshold.json")
    with pytest.raises(ArtefactMismatchError, match="is missing"):
        Threshold.read(tmp_path / "none.json")


def test_a_threshold_rejects_strictly_above_itself() -> None:
    assert Threshold(value=0.5, rule="manual").rejects(np.array([0.4, 0.5, 0.6])).tolist() == [False, False, True]


def test_a_threshold_rejects_what_is_no_number() -> None:
    assert Threshold(value=0.5, rule="manual").rejects(np.array([np.nan])).tolist() == [True]
