"""Records, held-out sets and engines of strangers are read as they are typed, or refused with exit code 4."""

from __future__ import annotations

import json
import math
import zipfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aand_edge import holdout
from aand_edge.artifacts import EngineManifest, ModelCard, Record, Threshold
from aand_edge.engines.base import BuildOptions
from aand_edge.engines.build import build_engine
from aand_edge.engines.load import load_engine, read_manifest, rebuild_hint
from aand_edge.errors import ArtefactMismatchError, UsageError
from aand_edge.holdout import HoldoutSet
from tests.graphs import tiny_frames, tiny_request, write_tiny_model
from tests.hostile import at_most, bounded, retyped, spoilt, taken_or_refused

CARD = ModelCard(
    name="part",
    backbone="resnet18",
    size=64,
    amplify=True,
    hard_patches=10,
    seed=0,
    data={"root": "data", "layout": "mvtec", "category": "part", "train": 9},
    holdout=["train/good/000.png"],
    recipe={"epochs_amplify": 1, "batch": 4, "learning_rate": 0.005},
    protocol="Last epoch.",
    weights={"source": "published", "sha256": "0" * 64},
    versions={"python": "3.11"},
    seconds={"amplify": 1.5},
    threshold=Threshold(value=0.5, rule="conformal", asked_false_rejects=0.01),
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an engine that takes milliseconds to load."""
    return build_engine(tiny_request(tmp_path_factory.mktemp("hostile")))[0]


def finite(value: Any) -> bool:
    """Whether no number in it is infinite or none."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("name", ["root", "category"])
def test_a_card_that_does_not_tell_its_pictures_is_refused(name: str, tmp_path: Path) -> None:
    card = CARD.model_copy(update={"data": {key: value for key, value in CARD.data.items() if key != name}})
    card.write(tmp_path / "card.json")
    with pytest.raises(ArtefactMismatchError, match=f"it names no {name}"):
        ModelCard.read(tmp_path / "card.json")


def test_a_retyped_card_is_a_card_that_can_be_written_again_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.json"

    @bounded(150)
    @given(retyped(CARD.model_dump(mode="json")))
    def retype(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        card = taken_or_refused(lambda: ModelCard.read(path), 4)
        if card is not None:
            card.write(path)
            assert ModelCard.read(path) == card
            assert finite(card.model_dump())

    retype()


@pytest.mark.parametrize("record", [ModelCard, EngineManifest])
def test_a_spoilt_record_is_refused(tmp_path: Path, record: type[Record]) -> None:
    path = tmp_path / "card.json"

    @bounded(80)
    @given(spoilt(CARD.model_dump_json().encode()))
    def spoil(data: bytes) -> None:
        path.write_bytes(data)
        taken_or_refused(lambda: record.read(path), 4)

    spoil()


def test_a_retyped_manifest_loads_or_is_refused_and_tells_how_to_build_again(manifest: Path, tmp_path: Path) -> None:
    engine = EngineManifest.read(manifest).engine
    (tmp_path / engine).write_bytes((manifest.parent / engine).read_bytes())
    path = tmp_path / manifest.name

    @bounded(150)
    @given(retyped(json.loads(manifest.read_text())))
    def retype(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        told = taken_or_refused(lambda: read_manifest(path), 4)
        if told is None:
            return
        assert math.isfinite(told.threshold.value)
        assert rebuild_hint(told).startswith("Build it here: `aand-edge ")
        loaded = taken_or_refused(lambda: load_engine(path), 3, 4)
        if loaded is not None:
            loaded[1].close()

    with at_most(300):
        retype()


@pytest.mark.parametrize("name", ["../part", "/etc/passwd", "a\0b", "", "."])
def test_a_name_that_leads_elsewhere_is_refused(manifest: Path, tmp_path: Path, name: str) -> None:
    for field in ("name", "model", "engine", "graph"):
        told = {**json.loads(manifest.read_text()), field: name}
        (tmp_path / "tiny.json").write_text(json.dumps(told))
        with pytest.raises(ArtefactMismatchError, match=rf"has a '{field}' that cannot be used: .*no name of a file"):
            EngineManifest.read(tmp_path / "tiny.json")


@pytest.mark.parametrize("threads", [2**20, -1, 1e300, "many"])
def test_threads_that_nobody_has_are_never_started(manifest: Path, tmp_path: Path, threads: object) -> None:
    engine = EngineManifest.read(manifest).engine
    (tmp_path / engine).write_bytes((manifest.parent / engine).read_bytes())
    told = json.loads(manifest.read_text())
    (tmp_path / manifest.name).write_text(json.dumps({**told, "options": {**told["options"], "threads": threads}}))
    with pytest.raises(ArtefactMismatchError, match=r"options in the manifest of .* are wrong"):
        load_engine(tmp_path / manifest.name)
    with pytest.raises(UsageError, match="1048576 threads are too many"):
        BuildOptions(threads=2**20)


def test_an_engine_with_any_byte_changed_is_refused(manifest: Path, tmp_path: Path) -> None:
    engine = EngineManifest.read(manifest).engine
    whole = (manifest.parent / engine).read_bytes()
    path = tmp_path / manifest.name
    path.write_bytes(manifest.read_bytes())

    @bounded(60)
    @given(spoilt(whole))
    def spoil(data: bytes) -> None:
        (tmp_path / engine).write_bytes(data)
        loaded = taken_or_refused(lambda: load_engine(path), 4)
        assert (loaded is not None) == (data == whole)

    spoil()


def test_a_spoilt_engine_whose_manifest_was_made_to_fit_is_refused_or_loads(manifest: Path, tmp_path: Path) -> None:
    """The digest of whoever spoils both: the backend must refuse, and not die."""
    told = json.loads(manifest.read_text())
    path = tmp_path / manifest.name
    whole = (manifest.parent / told["engine"]).read_bytes()

    @bounded(60)
    @given(spoilt(whole))
    def spoil(data: bytes) -> None:
        (tmp_path / told["engine"]).write_bytes(data)
        path.write_text(json.dumps({**told, "engine_sha256": sha256(data).hexdigest()}))
        loaded = taken_or_refused(lambda: load_engine(path), 4)
        if loaded is not None:
            loaded[1].close()

    with at_most(300):
        spoil()


WRONG_ARRAYS = st.one_of(
    st.sampled_from(
        [
            np.float32(1),
            np.zeros(0),
            np.zeros((2, 8, 8, 3), np.uint8),
            np.zeros((3, 8, 8), np.uint8),
            np.zeros((3, 8, 8, 4), np.uint8),
            np.zeros((3, 0, 8, 3), np.uint8),
            np.array(["a", "b", "c"]),
            np.array([1, np.nan, np.inf]),
            np.array([1j, 2, 3]),
            np.array([-5, 0, 99, 99]),
            np.array([0, 0, 0, 0]),
            np.array([0, 0, 4]),
            np.array([[1, 2], [3, 4]]),
            np.array([0, 0, 2**62, 2**62]),
            np.array(b"\xff\xfe"),
            np.array([], dtype="M8[s]"),
        ]
    ),
    st.integers(-1, 5).map(lambda n: np.arange(max(n, 0), dtype=np.float32)),
)


def test_a_held_out_set_of_other_arrays_is_one_or_is_refused(tmp_path: Path) -> None:
    whole: dict[str, Any] = {
        "frames": tiny_frames(3, 8),
        "scores": np.arange(3, dtype=np.float32),
        "names": np.array(["a", "b", "c"]),
        "colour": np.array("BGR"),
        "roi": np.array([0, 0, 8, 8]),
        "weights": np.array("0" * 64),
    }
    path = tmp_path / "h.npz"

    @bounded(150)
    @given(st.sampled_from(sorted(whole)), st.one_of(st.none(), WRONG_ARRAYS), st.booleans())
    def replace(name: str, other: Any, extra: bool) -> None:
        changed = {key: value for key, value in whole.items() if key != name or other is not None}
        changed |= ({name: other} if other is not None else {}) | ({"more": np.zeros(2)} if extra else {})
        np.savez(path, **changed)
        check(path)

    replace()


def check(path: Path) -> None:
    found = taken_or_refused(lambda: HoldoutSet.read(path), 4)
    if found is None:
        return
    assert found.frames.ndim == 4
    assert found.frames.shape[3] == 3
    assert found.frames.size
    assert found.scores.shape == (len(found.frames),) == (len(found.names),)
    assert np.isfinite(found.scores).all()
    assert found.colour in ("BGR", "RGB")
    if found.roi is not None:
        x, y, width, height = found.roi
        assert min(x, y) >= 0
        assert min(width, height) >= 1
        assert x + width <= found.frames.shape[2]
        assert y + height <= found.frames.shape[1]


def test_a_spoilt_held_out_set_is_one_or_is_refused(tmp_path: Path) -> None:
    _, path = write_tiny_model(tmp_path, pictures=2)

    @bounded(120)
    @given(spoilt(path.read_bytes()))
    def spoil(data: bytes) -> None:
        path.write_bytes(data)
        check(path)

    with at_most(200):
        spoil()


def test_a_held_out_set_that_unpacks_to_a_thousand_times_its_size_costs_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "UNPACKED", 1 << 20)
    _, path = write_tiny_model(tmp_path)
    assert len(HoldoutSet.read(path).frames) == 12
    frames = np.zeros((60, 1000, 1000, 3), np.uint8)
    np.savez_compressed(path, frames=frames)
    del frames
    with at_most(50), pytest.raises(ArtefactMismatchError, match=r"cannot be read \(ValueError\)"):
        HoldoutSet.read(path)


def test_a_held_out_set_that_claims_more_than_it_holds_costs_no_memory(tmp_path: Path) -> None:
    """Terabytes in a header of a few bytes."""
    path, header = tmp_path / "h.npz", BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1024, 1024, 3)}
    )
    with zipfile.ZipFile(path, "w") as stored:
        stored.writestr("frames.npy", header.getvalue())
    with at_most(200):
        assert taken_or_refused(lambda: HoldoutSet.read(path), 4) is None
