"""The rendered sample set: geometry as drawn, light as on turned metal, true masks, and files as promised."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aand_edge.data.checks import check_category
from aand_edge.data.layouts import read_category
from aand_edge.data.pictures import read_mask, read_picture
from aand_edge.data.sample import DEFECTS, Scene, draw_scene, expose, render_part, write, write_sample_set
from aand_edge.data.sample.part import Part, Pose, Surface, depth_in_openings, machine
from aand_edge.data.sample.place import on_face
from aand_edge.data.sample.render import VISIBLE, changed
from aand_edge.errors import UsageError

SIZE = 128
UPRIGHT = Pose(0.0, 0.0, 0.0, 1.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return replace(draw_scene(rng(), SIZE), pose=UPRIGHT)


@pytest.fixture(scope="module")
def surface(scene: Scene) -> Surface:
    return scene.surface()


def spoil(kind: str, scene: Scene, surface: Surface, seed: int = 0) -> Surface:
    return DEFECTS[kind](rng(seed), scene.part, scene.pose, surface)


def in_metal(part: Part, u: float, v: float) -> bool:
    return bool(depth_in_openings(part, np.array([u]), np.array([v]))[0] < 0)


def at(picture: NDArray[np.generic], x: float, y: float) -> float:
    """Mean of 3×3 pixels, x and y in shares of the side from the centre."""
    side = picture.shape[0]
    row, column = int((y + 0.5) * side), int((x + 0.5) * side)
    return float(picture[row - 1 : row + 2, column - 1 : column + 2].mean())


# Geometry


def test_the_part_is_open_where_the_drawing_says_so() -> None:
    part = Part()
    diagonal = part.bolt_circle / np.sqrt(2)
    assert not in_metal(part, 0, 0)
    assert not in_metal(part, part.bore + 0.8 * part.keyway_depth, 0)
    assert not in_metal(part, 1.01 * part.outer, 0)
    assert not any(in_metal(part, i * diagonal, j * diagonal) for i in (-1, 1) for j in (-1, 1))
    assert in_metal(part, -part.bore - 0.8 * part.keyway_depth, 0)
    assert in_metal(part, 0, part.bolt_circle)


@pytest.mark.parametrize(("which", "u", "v"), [(0, -1, -1), (1, 1, -1), (2, -1, 1), (3, 1, 1)])
def test_a_hole_left_out_is_metal_and_the_others_stay(which: int, u: int, v: int) -> None:
    part = replace(Part(), holes=tuple(number != which for number in range(4)))
    diagonal = part.bolt_circle / float(np.sqrt(2))
    assert in_metal(part, u * diagonal, v * diagonal)
    assert sum(in_metal(part, i * diagonal, j * diagonal) for i in (-1, 1) for j in (-1, 1)) == 1


@pytest.mark.parametrize("scale", [0.97, 1.0, 1.03])
def test_the_metal_covers_the_area_of_the_drawing(scale: float) -> None:
    part = replace(Part(), keyway=False)
    area = np.pi * (part.outer**2 - part.bore**2 - 4 * part.bolt**2) * scale**2
    cover = machine(part, Pose(0.01, -0.02, 0.3, scale), 512).cover
    assert cover.mean() == pytest.approx(area, rel=2e-3)


def test_a_pose_takes_points_to_the_picture_and_back() -> None:
    pose, side = Pose(0.02, -0.03, 0.3, 1.02), 32
    u, v = pose.part_frame(side)
    x, y = pose.to_picture(u, v)
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    np.testing.assert_allclose(x, columns, atol=1e-6)
    np.testing.assert_allclose(y, rows, atol=1e-6)


def test_edges_are_chamfered_and_the_hub_is_raised(scene: Scene, surface: Surface) -> None:
    part = scene.part
    rim, face, hub = (at(surface.height, 0, -r) for r in (part.outer - 0.003, 0.27, 0.155))
    assert rim < face < hub


def test_the_very_centre_of_the_part_is_no_hole_in_the_numbers() -> None:
    half_a_pixel = 0.5 / 64
    surface = machine(Part(), Pose(half_a_pixel, half_a_pixel, 0.0, 1.0), 64)
    assert float(surface.radius.min()) == 0
    assert np.isfinite(surface.right).all()
    assert np.isfinite(surface.down).all()


def test_points_on_the_face_keep_their_clearance() -> None:
    generator, part = rng(), Part()
    points = np.array([on_face(generator, part, 0.02) for _ in range(50)])
    assert depth_in_openings(part, points[:, 0], points[:, 1]).max() < -0.02


# Light, belt and camera


def test_turned_metal_shines_in_cones_towards_the_lamp(scene: Scene, surface: Surface) -> None:
    lit = replace(scene, light=replace(scene.light, azimuth=0.0))
    picture = expose(lit, surface)
    towards = at(picture, 0.30, 0) + at(picture, -0.30, 0)
    beside = at(picture, 0, 0.30) + at(picture, 0, -0.30)
    assert towards > beside + 40


def test_a_stronger_lamp_brightens_the_part_and_the_belt(scene: Scene, surface: Surface) -> None:
    dim = expose(replace(scene, light=replace(scene.light, strength=0.7)), surface)
    assert at(expose(scene, surface), 0, -0.3) > 1.2 * at(dim, 0, -0.3)
    assert at(expose(scene, surface), 0.45, 0.45) > 1.1 * at(dim, 0.45, 0.45)


def test_the_part_is_brighter_than_the_belt_and_throws_a_shadow(scene: Scene, surface: Surface) -> None:
    lit = replace(scene, light=replace(scene.light, azimuth=0.0), belt=np.ones_like(scene.belt))
    picture = expose(lit, surface)
    shaded, far = at(picture, -scene.part.outer - 0.02, 0), at(picture, -0.47, 0)
    assert at(picture, 0, -0.3) > 2 * far
    assert shaded < 0.85 * far


def test_corners_are_darker_than_the_middle_of_the_picture(scene: Scene, surface: Surface) -> None:
    bare = replace(surface, cover=np.zeros_like(surface.cover))
    picture = expose(replace(scene, belt=np.ones_like(scene.belt), belt_grey=100.0), bare)
    assert at(picture, 0.48, 0.48) < 0.9 * at(picture, 0, 0)


def test_noise_grows_with_the_light_and_is_absent_when_not_asked_for(scene: Scene, surface: Surface) -> None:
    noise = rng(1).standard_normal((SIZE, SIZE, 3), dtype=np.float32)
    clean = expose(scene, surface)
    added = expose(scene, surface, noise).astype(float) - clean
    np.testing.assert_array_equal(clean, expose(scene, surface))
    bright, dark = clean.mean(axis=2) > 110, clean.mean(axis=2) < 50
    assert 1.0 < added[dark].std() < added[bright].std() < 4.0


def test_the_belt_comes_round_after_a_whole_picture(scene: Scene, surface: Surface) -> None:
    start = expose(scene, surface)
    np.testing.assert_array_equal(start, expose(replace(scene, travel=1.0), surface))
    assert (start != expose(replace(scene, travel=0.3), surface)).any()


def test_a_moved_part_is_the_same_part_elsewhere(scene: Scene) -> None:
    def centre(moved: Scene) -> NDArray[np.floating]:
        bright = expose(moved, moved.surface()).mean(axis=2) > 80
        return np.argwhere(bright).mean(axis=0) / SIZE

    shift = centre(scene.moved(0.1, -0.05, travel=0.2)) - centre(scene)
    np.testing.assert_allclose(shift, (-0.05, 0.1), atol=0.01)


def test_a_part_may_leave_the_picture(scene: Scene) -> None:
    gone = scene.moved(0.0, 2.0, travel=0.0)
    assert expose(gone, gone.surface()).max() < 100


# Defects


def test_a_chip_takes_metal_away(scene: Scene, surface: Surface) -> None:
    lost = surface.cover - spoil("chip", scene, surface).cover
    assert lost.min() >= 0
    assert lost.sum() > 5  # of the oversampled pixels


def test_a_dent_bends_the_surface_and_takes_nothing_away(scene: Scene, surface: Surface) -> None:
    dented = spoil("dent", scene, surface)
    assert (dented.height - surface.height).min() < -0.002
    assert dented.cover is surface.cover


def test_a_scratch_is_a_furrow_with_torn_tool_marks(scene: Scene, surface: Surface) -> None:
    scratched = spoil("scratch", scene, surface)
    torn = scratched.polish < 0.9
    assert 20 < torn.sum() < 0.02 * torn.size
    assert (scratched.height - surface.height)[torn].mean() < 0


def test_a_stain_lies_on_the_surface_without_shaping_it(scene: Scene, surface: Surface) -> None:
    stained = spoil("stain", scene, surface)
    assert stained.height is surface.height
    assert 0.3 < stained.film.max() <= 1
    warm = expose(scene, surface).astype(float) - expose(scene, stained)
    assert warm[..., 2].sum() > 1.1 * warm[..., 0].sum()  # blue is lost before red


def test_every_feature_goes_missing_in_time_and_fills_its_opening(scene: Scene, surface: Surface) -> None:
    centres = set()
    for seed in range(30):
        added = spoil("missing_feature", scene, surface, seed).cover - surface.cover
        assert added.min() >= 0
        centres.add(tuple(np.argwhere(added > 0.5).mean(axis=0).round(-1)))
    assert len(centres) == 5


@pytest.mark.parametrize("kind", DEFECTS)
def test_the_mask_is_where_the_defect_shows(kind: str) -> None:
    for seed in range(4):
        faulty, mask = render_part(rng(seed), SIZE, kind)
        good, nothing = render_part(rng(seed), SIZE)
        difference = np.abs(faulty.astype(int) - good).max(axis=2)
        visible = difference > VISIBLE
        assert not nothing.any()
        assert (visible & ~mask).sum() <= 3  # single specks are cleaned away
        assert (visible & mask).sum() > 0.6 * mask.sum()  # the rest are gaps that were closed
        assert 6 <= mask.sum() < 0.05 * mask.size


def test_a_change_too_faint_to_see_is_no_defect() -> None:
    good = np.full((SIZE, SIZE, 3), 100, dtype=np.uint8)
    faulty = good.copy()
    faulty[10:20, 10:20] += VISIBLE
    assert not changed(good, faulty).any()
    faulty[10:20, 10:20, 1] += 1
    np.testing.assert_array_equal(np.argwhere(changed(good, faulty)).min(axis=0), (10, 10))
    assert changed(good, faulty).sum() == 100


# Pictures and files


def test_a_seed_gives_one_picture() -> None:
    first, mask = render_part(rng(7), SIZE, "stain")
    again, mask_again = render_part(rng(7), SIZE, "stain")
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(mask, mask_again)
    assert (first != render_part(rng(8), SIZE, "stain")[0]).mean() > 0.5
    assert (first.shape, first.dtype, mask.shape, mask.dtype) == ((SIZE, SIZE, 3), np.uint8, (SIZE, SIZE), np.bool_)


def test_an_unknown_defect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no defect 'rust'.*chip, dent, missing_feature, scratch, stain"):
        render_part(rng(), SIZE, "rust")


def test_a_picture_too_small_for_the_part_is_refused() -> None:
    with pytest.raises(UsageError, match="63 pixels is too small"):
        render_part(rng(), 63)


@pytest.fixture(scope="module")
def sample_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_set(
        tmp_path_factory.mktemp("set") / "rings", train=8, test_good=2, per_defect=1, size=64, seed=3
    )


def test_the_set_reads_as_a_faultless_mvtec_category(sample_set: Path) -> None:
    category = read_category(sample_set)
    report = check_category(category)
    assert (category.name, category.layout) == ("rings", "mvtec")
    assert (report.problems, report.warnings) == ((), ())
    assert report.counts == {"train": {"good": 8}, "test": {"good": 2, **dict.fromkeys(DEFECTS, 1)}}
    assert report.sizes == {"64x64": 15}


def test_the_files_hold_what_was_rendered(sample_set: Path) -> None:
    picture = read_picture(sample_set / "test" / "chip" / "000.png")
    mask = read_mask(sample_set / "ground_truth" / "chip" / "000_mask.png", picture.shape[:2])
    rendered, true = render_part(rng([3, *b"test/chip", 0]), 64, "chip")  # type: ignore[arg-type]
    np.testing.assert_array_equal(picture, rendered)
    np.testing.assert_array_equal(mask, true)


def test_a_shorter_set_is_the_beginning_of_a_longer_one(sample_set: Path, tmp_path: Path) -> None:
    shorter = write_sample_set(tmp_path / "rings", train=2, test_good=1, per_defect=0, size=64, seed=3)
    files = [path.relative_to(shorter) for path in sorted(shorter.rglob("*.png"))]
    assert len(files) == 3
    assert all(digest(shorter / file) == digest(sample_set / file) for file in files)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_empty_folder_is_filled_and_a_full_one_left_alone(tmp_path: Path) -> None:
    assert write_sample_set(tmp_path / "rings", train=1, test_good=0, per_defect=0, size=64).is_dir()
    kept = tmp_path / "mine" / "photo.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_sample_set(kept.parent, train=1)
    assert [path.name for path in kept.parent.iterdir()] == ["photo.txt"]
    kept.unlink()
    write_sample_set(kept.parent, train=1, test_good=0, per_defect=0, size=64)
    assert (kept.parent / "train" / "good" / "000.png").is_file()


def test_a_set_cut_short_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, picture: NDArray[np.uint8]) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(write, "_write", full)
    with pytest.raises(OSError, match="no space"):
        write_sample_set(tmp_path / "rings", train=1, size=64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"train": -1}, {"per_defect": -1}, {"seed": -1}])
def test_negative_numbers_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="negative"):
        write_sample_set(tmp_path / "rings", **wrong)


def test_the_renderer_needs_no_torch() -> None:
    code = "import sys, aand_edge.data.sample; print(sorted({'torch', 'scipy', 'PIL'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
