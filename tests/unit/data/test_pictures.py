"""Pictures and masks come in by one rule, and what cannot be trusted is refused by name."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from aand_edge.data.headers import claimed_size
from aand_edge.data.pictures import PICTURE_SUFFIXES, read_mask, read_picture
from aand_edge.errors import DataError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
FORMATS[".webp"] = "WEBP"


def picture(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    """A smooth colour picture that lossy formats hardly change."""
    y, x = np.mgrid[:height, :width]
    return np.stack((x * 255 // width, y * 255 // height, 128 + 0 * x), axis=2).astype(np.uint8)


def encoded(form: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(picture(240, 320)).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_format_is_read_as_rgb(tmp_path: Path, suffix: str) -> None:
    lossless = {"lossless": True} if suffix == ".webp" else {}
    path = tmp_path / f"part{suffix}"
    Image.fromarray(picture()).save(path, FORMATS[suffix], **lossless)
    found = read_picture(path)
    assert found.dtype == np.uint8
    assert found.flags["C_CONTIGUOUS"]
    expected = np.asarray(Image.open(path).convert("RGB"), dtype=int)
    assert np.abs(found - expected).max() <= (2 if FORMATS[suffix] == "JPEG" else 0)


def test_grey_is_repeated_over_the_channels(tmp_path: Path) -> None:
    grey = picture()[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_picture(tmp_path / "grey.png"), np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_without_blending(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    image.putalpha(7)
    image.save(tmp_path / "alpha.png")
    assert np.array_equal(read_picture(tmp_path / "alpha.png"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["P", "1"])
def test_palette_and_bilevel_pictures_are_expanded(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    image.save(tmp_path / "few.png")
    assert np.array_equal(read_picture(tmp_path / "few.png"), np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_divided_by_257_and_rounded(tmp_path: Path) -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert np.array_equal(read_picture(tmp_path / "deep.png")[:, :, 1], np.rint(deep / 257).astype(np.uint8))


def test_sixteen_bit_colour_keeps_its_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.tif"), picture()[:, :, ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_picture(tmp_path / "deep.tif"), picture())


def test_exif_rotation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (24, 40, 3)


def test_a_path_outside_ascii_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "Prüfteil 部品"
    folder.mkdir()
    Image.fromarray(picture()).save(folder / "größe.png")
    assert np.array_equal(read_picture(folder / "größe.png"), picture())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, form: str, share: float) -> None:
    data = encoded(form)
    path = tmp_path / "torn.img"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"torn\.img"):
        read_picture(path)


def test_a_progressive_jpeg_is_read_whole_and_refused_torn(tmp_path: Path) -> None:
    data = encoded("JPEG", progressive=True)
    path = tmp_path / "progressive.jpg"
    path.write_bytes(data)
    assert read_picture(path).shape == (240, 320, 3)
    path.write_bytes(data[:-2])
    with pytest.raises(DataError, match="truncated"):
        read_picture(path)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(tmp_path: Path) -> None:
    data, thumbnail = encoded("JPEG"), b"\xff\xd8 small \xff\xd9"
    comment = b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    path = tmp_path / "thumbnail.jpg"
    path.write_bytes(data[:2] + comment + data[2:])
    assert read_picture(path).shape == (240, 320, 3)
    path.write_bytes((data[:2] + comment + data[2:])[:-2])
    with pytest.raises(DataError, match="truncated"):
        read_picture(path)


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "padded.jpg"
    path.write_bytes(encoded("JPEG") + bytes(5000))
    assert read_picture(path).shape == (240, 320, 3)


def test_a_flipped_byte_in_a_png_is_found(tmp_path: Path) -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "flipped.png").write_bytes(data)
    with pytest.raises(DataError, match=r"flipped\.png is damaged"):
        read_picture(tmp_path / "flipped.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF", bytes(100)])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "note.png").write_bytes(content)
    with pytest.raises(DataError, match=r"note\.png") as caught:
        read_picture(tmp_path / "note.png")
    assert caught.value.hint


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.png cannot be read"):
        read_picture(tmp_path / "absent.png")


def test_an_absurd_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = (struct.pack(">I", len(body) - 4) + body + struct.pack(">I", crc32(body)) for body in (header, b"IEND"))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(DataError, match="20000x20000"):
        read_picture(tmp_path / "huge.png")


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_values_without_a_rule_are_refused(tmp_path: Path, kind: type) -> None:
    cv2.imwrite(str(tmp_path / "values.tif"), picture()[:, :, 0].astype(kind))
    with pytest.raises(DataError, match=np.dtype(kind).name):
        read_picture(tmp_path / "values.tif")


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": bytes(16)}),
    ],
)
def test_the_header_tells_the_size(form: str, options: dict[str, object]) -> None:
    assert claimed_size(encoded(form, **options)) == (320, 240)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_no_cut_header_breaks_the_reader_of_sizes(form: str) -> None:
    data = encoded(form)
    for length in range(64):
        assert claimed_size(data[:length]) in (None, (320, 240))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_a_mask_is_true_where_it_is_above_zero(tmp_path: Path, mode: str) -> None:
    marked = np.zeros((24, 40), np.uint16)
    marked[3:9, 5:20] = 1
    image = Image.fromarray(marked) if mode == "I;16" else Image.fromarray(marked.astype(np.uint8)).convert(mode)
    image.save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", (24, 40))
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, marked > 0)


def test_a_mask_of_another_size_names_both(tmp_path: Path) -> None:
    Image.new("L", (40, 24)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask\.png is 40x24 .* 24x40"):
        read_mask(tmp_path / "mask.png", (40, 24))
