"""Picture files of strangers: whatever their bytes are, a picture or a sentence comes back, in little memory."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aand_edge.data.headers import claimed_size, fault
from aand_edge.data.pictures import MAX_PIXELS, decode_picture, read_mask
from aand_edge.errors import DataError
from tests.hostile import at_most, bounded, spoilt, taken_or_refused

PATH = Path("part.png")
MEMORY = 200  # MB: a thousand times what these files hold


def encoded(form: str, mode: str, **options: object) -> bytes:
    """A picture of 24x16 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


WHOLE = {
    "png": encoded("PNG", "RGB"),
    "grey and alpha png": encoded("PNG", "LA"),
    "palette png": encoded("PNG", "P"),
    "jpeg": encoded("JPEG", "RGB"),
    "progressive jpeg": encoded("JPEG", "RGB", progressive=True),
    "grey jpeg": encoded("JPEG", "L"),
    "bmp": encoded("BMP", "RGB"),
    "palette bmp": encoded("BMP", "P"),
    "tiff": encoded("TIFF", "RGB"),
    "lzw tiff": encoded("TIFF", "RGB", compression="tiff_lzw"),
    "float tiff": encoded("TIFF", "F"),
    "grey and alpha tiff": encoded("TIFF", "LA"),
    "jpeg tiff": encoded("TIFF", "RGB", compression="jpeg"),
    "webp": encoded("WEBP", "RGB"),
    "lossless webp": encoded("WEBP", "RGBA", lossless=True),
}


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG whose lengths and checksums are right, whatever its chunks hold."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def check(data: bytes) -> None:
    reason, size = fault(data), claimed_size(data)
    assert reason is None or reason.strip()
    picture = taken_or_refused(lambda: decode_picture(data, PATH), 1)
    if picture is not None:
        assert size is not None
        assert picture.dtype == np.uint8
        assert picture.shape == (size[1], size[0], 3)
        assert size[0] * size[1] <= MAX_PIXELS


@pytest.mark.parametrize("form", WHOLE)
def test_a_spoilt_picture_is_a_picture_of_its_claimed_size_or_is_refused(form: str) -> None:
    @bounded(60)
    @given(spoilt(WHOLE[form], header=128))
    def spoil(data: bytes) -> None:
        check(data)

    check(WHOLE[form])
    with at_most(MEMORY):
        spoil()


@bounded(100)
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"RIFF\0\0\0\0WEBPVP8", b""]),
    st.binary(max_size=200),
)
def test_noise_after_a_known_beginning_is_refused(start: bytes, data: bytes) -> None:
    check(start + data)


@bounded(60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 4, 8, 16, 32]),
    st.sampled_from([0, 2, 3, 4, 6, 7]),
    st.binary(max_size=30),
)
def test_a_png_header_that_lies_costs_no_memory(width: int, height: int, depth: int, colour: int, body: bytes) -> None:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    with at_most(MEMORY):
        check(png([(b"IHDR", header), (b"IDAT", zlib.compress(body)), (b"IEND", b"")]))


def tiff(*sides: tuple[int, int]) -> bytes:
    """A grey TIFF without pixels, with these (tag, pixels) as its width and height."""
    entries = [*sides, (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    body = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def test_a_second_width_in_a_tiff_does_not_hide_the_one_that_is_decoded() -> None:
    data = tiff((256, 30_000), (256, 16), (257, 30_000), (257, 16))
    assert claimed_size(data) == (30_000, 30_000)
    with at_most(MEMORY), pytest.raises(DataError, match="claims 30000x30000 pixels"):
        decode_picture(data, PATH)


def test_a_marker_without_content_in_a_jpeg_does_not_hide_the_frame_that_is_decoded() -> None:
    whole = WHOLE["jpeg"]
    small = b"\xff\xc0" + struct.pack(">HBHHB", 8, 8, 1, 1, 0)
    frame = b"\xff\xd8\xff\xd0" + b"\xff\xc0" + struct.pack(">HBHHB", 8, 8, 60_000, 60_000, 0)
    data = frame.ljust(4 + 0xFFC0, b"\0") + small  # where the frame's marker, read as a length, leads to
    assert claimed_size(data) == (60_000, 60_000)
    assert claimed_size(b"\xff\xd8\xff\xd0" + whole[2:]) == (24, 16)


@pytest.mark.parametrize("form", ["png", "tiff", "bmp", "grey jpeg"])
def test_a_spoilt_mask_is_a_mask_or_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "mask.png"

    @bounded(25)
    @given(spoilt(WHOLE[form]))
    def spoil(data: bytes) -> None:
        path.write_bytes(data)
        mask = taken_or_refused(lambda: read_mask(path, (16, 24)), 1)
        assert mask is None or (mask.dtype == np.bool_ and mask.shape == (16, 24))

    spoil()
