"""One scheme names every source, and what cannot be is told before the loop starts."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from aand_edge.errors import AandEdgeError, DataError, MissingDependencyError, SourceError, UsageError
from aand_edge.runtime.sources import genicam, pictures
from aand_edge.runtime.sources.base import Grab, SourceOptions
from aand_edge.runtime.sources.capture import Capture
from aand_edge.runtime.sources.csi import pipeline
from aand_edge.runtime.sources.genicam import to_bgr
from aand_edge.runtime.sources.pictures import PictureSource, find_pictures
from aand_edge.runtime.sources.redact import redact
from aand_edge.runtime.sources.rendered import RenderedSource
from aand_edge.runtime.sources.uri import open_source, split

VIDEO = Path(__file__).parents[5] / "shared/data/video/bottle-detection.mp4"
NOTHING = SourceOptions()


def everything(uri: str, options: SourceOptions = NOTHING) -> list[Grab | Exception]:
    source = open_source(uri, options)
    source.open()
    found: list[Grab | Exception] = []
    while True:
        try:
            grab = source.read()
        except DataError as error:
            found.append(error)
            continue
        if grab is None:
            source.close()
            return found
        found.append(grab)


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("0", ("v4l2", "0")),
        ("v4l2:///dev/video2", ("v4l2", "/dev/video2")),
        ("RTSP://camera/1", ("rtsp", "camera/1")),
        ("clips/a.mp4", ("file", "clips/a.mp4")),
        ("file:///clips/a.mp4", ("file", "/clips/a.mp4")),
    ],
)
def test_a_uri_has_a_scheme(uri: str, parts: tuple[str, str]) -> None:
    assert split(uri) == parts


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        ("ftp://x", NOTHING, "There is no source 'ftp://x'"),
        ("csi://left", NOTHING, "There is no source"),
        ("rtsp://", NOTHING, "There is no source"),
        ("v4l2://", NOTHING, "There is no source"),
        ("smtp://me:pw@host", NOTHING, r"There is no source 'smtp://\*\*\*@host'"),
        ("clip.mp4", NOTHING, "There is no video clip.mp4"),
        ("nowhere", NOTHING, "There is no nowhere. Name a picture"),
        ("no/*.png", NOTHING, r"no/\*\.png matches no file"),
        ("/dev/video99", NOTHING, "/dev/video99 is the device of a camera. Name it v4l2:///dev/video99."),
        ("/dev/null", NOTHING, "/dev/null is neither a picture nor a folder"),
        ("full/", NOTHING, r"full/ holds folders, and no pictures itself. Name one of them, or 'full/\*/\*'"),
        ("full/good", NOTHING, "full/good holds no pictures. Name"),
        ("nowhere", SourceOptions(follow=True), "nowhere is no folder that could be followed"),
        ("rtsp://me:pw@x:99999/1", NOTHING, r"The port of 'rtsp://\*\*\*@x:99999' is out of range"),
        ("http://[::1", NOTHING, r"http://\[::1 is no address of a stream"),
        ("rtsp://cam..local/1", NOTHING, r"rtsp://cam\.\.local/1 is no address of a stream"),
        ("rtsp://me:p/w@cam/1", NOTHING, r"rtsp://\*\*\*@cam/1 is no address of a stream"),
        ("rtsp://x", SourceOptions(exposure=3), "--exposure has no effect on a stream"),
        ("test://", SourceOptions(size=(3, 4)), "--size has no effect on test://"),
        ("test://?speed=3", NOTHING, "test:// has no 'speed=3'"),
        ("test://?rate=fast", NOTHING, "test:// has no 'rate=fast'"),
        ("test://?rate=-1", NOTHING, "test:// has no 'rate=-1'"),
        ("test://?parts=1", NOTHING, "two parts or more"),
        ("test://?size=63", NOTHING, "test:// draws no part in 63 pixels. Make size 64 or more"),
        ("genicam://X1", NOTHING, "needs the package harvesters|There is no"),
        ("csi://0", NOTHING, "needs GStreamer"),
    ],
)
def test_what_cannot_be_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, options: SourceOptions, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full/good").mkdir(parents=True)
    with pytest.raises(AandEdgeError, match=said) as raised:
        open_source(uri, options)
    assert isinstance(raised.value, (UsageError, MissingDependencyError))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rtsp://admin:s3cret@10.0.0.7:554/1", "rtsp://***@10.0.0.7:554/1"),
        ("rtsp://user:p@ss@camera/1 failed", "rtsp://***@camera/1 failed"),
        ("http://c/v?user=me&password=s3cret&size=3", "http://c/v?user=***&password=***&size=3"),
        ("http://c/v?token=s3cret", "http://c/v?token=***"),
        ("rtsp://admin:s3/cret@10.0.0.7:554/1 failed", "rtsp://***@10.0.0.7:554/1 failed"),
        ("http://c:8080/v@2x and http://c/v@2x", "http://c:8080/v@2x and http://c/v@2x"),
        ("/data/me@work/clip.mp4", "/data/me@work/clip.mp4"),
    ],
)
def test_credentials_are_left_out(text: str, told: str) -> None:
    assert redact(text) == told


def test_pictures_come_in_order_as_bgr_and_a_torn_one_in_its_place(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    cv2.imwrite(str(tmp_path / "c.png"), picture[::-1])
    first, torn, last = everything(str(tmp_path))
    assert isinstance(first, Grab)
    assert (first.picture == picture).all()
    assert first.name == str(tmp_path / "a.png")
    assert isinstance(torn, DataError)
    assert isinstance(last, Grab)
    assert [path.name for path in find_pictures(f"{tmp_path}/[ac].png")] == ["a.png", "c.png"]
    with pytest.raises(UsageError, match="matches no file"):
        find_pictures(f"{tmp_path}/*.bmp")


def test_a_followed_folder_goes_on_with_pictures_that_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aand_edge.runtime.sources.pictures.LOOK_S", 0.01)
    source = PictureSource(str(tmp_path), SourceOptions(follow=True))
    whole = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))[1].tobytes()
    with (tmp_path / "a.png").open("wb", buffering=0) as file:
        for byte in range(0, len(whole), 20):
            file.write(whole[byte : byte + 20])
            grab = source.read()
            assert grab is not None
            assert grab.picture.size == 0 or byte + 20 >= len(whole), "it still grows"
    end = time.monotonic() + 10
    while grab is None or grab.picture.size == 0:
        assert time.monotonic() < end
        grab = source.read()
    assert (grab.picture == 7).all()


def test_a_picture_that_was_still_growing_at_the_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LOOK_S", 0.001)
    whole = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(whole[:20])
    source = PictureSource(str(tmp_path), SourceOptions(follow=True))
    assert (grab := source.read()) is not None
    assert grab.picture.size == 0
    (tmp_path / "a.png").write_bytes(whole)
    grabs = [source.read() for _ in range(3)]
    assert [grab.name for grab in grabs if grab is not None and grab.picture.size] == [str(tmp_path / "a.png")]


def test_a_followed_folder_that_may_not_be_read_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(pictures, "pictures_in", refuse)
    with pytest.raises(PermissionError):
        PictureSource(str(tmp_path), SourceOptions(follow=True))


def test_a_followed_folder_may_be_away_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that is taken away while it is listed, and mounted again: the source does not end."""
    monkeypatch.setattr(pictures, "LOOK_S", 0.001)
    source = PictureSource(str(tmp_path), SourceOptions(follow=True))
    with monkeypatch.context() as away:
        away.setattr(pictures, "pictures_in", lambda folder: (tmp_path / "unmounted").iterdir().__next__())
        assert (grab := source.read()) is not None
        assert grab.picture.size == 0
        assert grab.away == f"The folder {tmp_path} is away (No such file or directory)"
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 7, np.uint8))
    grabs = [source.read() for _ in range(3)]
    assert [grab.name for grab in grabs if grab is not None and grab.picture.size] == [str(tmp_path / "a.png")]


def test_rendered_parts_are_the_same_by_seed_and_know_their_defects() -> None:
    uri = "test://?rate=0&parts=4&size=64&count=30&defects=0.5&seed=3"
    once, again = everything(uri), everything(uri)
    truths = [each.truth for each in once if isinstance(each, Grab)]
    assert len(once) == 30
    assert {True, False} == set(truths)
    assert all(
        isinstance(a, Grab) and isinstance(b, Grab) and (a.picture == b.picture).all()
        for a, b in zip(once, again, strict=True)
    )
    pictures = {bool(each.truth): each.picture.tobytes() for each in once if isinstance(each, Grab)}
    assert pictures[True] != pictures[False]


def test_a_rendered_line_keeps_its_rate() -> None:
    source = RenderedSource({"rate": "50", "parts": "2", "size": "64", "count": "6"}, NOTHING)
    assert source.live
    source.open()
    start = time.monotonic()
    while source.read() is not None:
        pass
    assert time.monotonic() - start > 0.09


@pytest.mark.skipif(not VIDEO.is_file(), reason="the sample video is not here")
def test_a_video_is_read_to_its_last_frame() -> None:
    found = everything(str(VIDEO))
    assert len(found) == 1189
    assert all(isinstance(each, Grab) and each.picture.shape == (360, 640, 3) for each in found)


def test_a_file_that_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(AandEdgeError, match=r"The video .*a\.mp4 cannot be opened. It is no video"):
        everything(str(tmp_path / "a.mp4"))


def clip(path: Path, codec: str, share: float = 1.0) -> str:
    """40 frames, 10 a second; of the file only that share is there."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10.0, (64, 64))
    noise = np.random.default_rng(0)
    for _ in range(40):
        writer.write(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    writer.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return str(path)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.webm", "VP80")])
def test_a_video_that_breaks_off_is_no_whole_one(tmp_path: Path, name: str, codec: str) -> None:
    with pytest.raises(SourceError, match=r"The video .*a\.[a-z]+ broke off after (9|1\d|20) of 40 frames"):
        everything(clip(tmp_path / name, codec, share=0.5))


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.mp4", "mp4v"), ("a.ts", "mp4v")])
def test_a_whole_video_has_not_broken_off(tmp_path: Path, name: str, codec: str) -> None:
    assert len(everything(clip(tmp_path / name, codec))) == 40


def test_a_video_whose_sound_lasts_longer_has_not_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capture, "frames", 45)
    assert len(everything(clip(tmp_path / "a.mkv", "mp4v"))) == 40
    with pytest.raises(SourceError, match="broke off after 40 of 45 frames"):
        everything(clip(tmp_path / "a.avi", "MJPG"))


def test_the_pipeline_of_a_csi_camera_takes_the_newest_picture() -> None:
    text = pipeline(1, SourceOptions(size=(1920, 1080), rate=60, exposure=500000))
    assert "sensor-id=1" in text
    assert "width=1920, height=1080, framerate=60/1" in text
    assert 'exposuretimerange="500000 500000"' in text
    assert text.endswith("drop=true max-buffers=1 sync=false")


def test_an_industrial_camera_that_gives_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a stand-in with the call that harvesters documents: None where no picture came in time."""
    monkeypatch.setattr(genicam, "find_spec", lambda name: object())
    source = genicam.GenicamSource("X1", NOTHING)
    source._camera = SimpleNamespace(try_fetch=lambda timeout: None)
    with pytest.raises(SourceError, match="genicam://X1 gives no picture any more"):
        source.read()


@pytest.mark.parametrize(("form", "channels"), [("Mono8", 1), ("RGB8", 3), ("BGR8", 3), ("BayerRG8", 1)])
def test_pictures_of_an_industrial_camera_become_bgr(form: str, channels: int) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (8, 10, channels), dtype=np.uint8)
    picture = to_bgr(raw, form)
    assert picture.shape == (8, 10, 3)
    assert picture.flags["C_CONTIGUOUS"]
    if form == "RGB8":
        assert (picture == raw[:, :, ::-1]).all()
    with pytest.raises(DataError, match="Mono12"):
        to_bgr(raw, "Mono12")
