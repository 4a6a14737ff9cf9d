"""What a picture file says of itself before it is decoded: its size, and whether its end is there.

Decoders differ here: some fill the lost part of a torn JPEG with grey and say nothing. These checks read
markers and lengths only, so they cost microseconds and give the same answer with every OpenCV.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_SIZED_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0–15 without DHT, JPG and DAC
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RST0–7: markers without a length and without content
_TIFF_INTEGERS = {3: "H", 4: "I"}


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels that the header claims, None where no header of a known format is found."""
    try:
        if data.startswith(_PNG):
            return _unpack(">II", data, 16)
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data.startswith(b"BM"):
            return _bmp_size(data)
        if data.startswith((b"II*\0", b"MM\0*")):
            return _tiff_size(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        return None
    return None


def fault(data: bytes) -> str | None:
    """Why the file cannot be whole, or None. Covers PNG (lengths, checksums, end) and JPEG (end of the last scan)."""
    if data.startswith(_PNG):
        return _png_fault(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_fault(data)
    return None if data else "empty"


def _unpack(form: str, data: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, data, offset)
    return int(first), int(second)


def _png_fault(data: bytes) -> str | None:
    """Walk the chunks: 4 bytes of length, 4 of type, the content, 4 of CRC-32 over type and content."""
    position = len(_PNG)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return "truncated"
        if zlib.crc32(memoryview(data)[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return "damaged (a checksum does not match)"
        if kind == b"IEND":
            return None
        position = end + 4
    return "truncated"


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, offset of its length field) of each segment, up to and including the first start of scan."""
    position = 2
    while True:
        if data[position] != 0xFF:
            return
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in _ALONE:
            position += 2
            continue
        yield marker, position + 2
        if marker == 0xDA:
            return
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, offset in _jpeg_segments(data):
        if marker in _SIZED_FRAMES:
            height, width = _unpack(">HH", data, offset + 3)
            return width, height
    return None


def _jpeg_fault(data: bytes) -> str | None:
    """An end-of-image marker must follow the first start of scan: one before it belongs to an embedded thumbnail."""
    try:
        scans = [offset for marker, offset in _jpeg_segments(data) if marker == 0xDA]
    except (struct.error, IndexError):
        return "truncated"
    return None if scans and data.rfind(b"\xff\xd9") > scans[0] else "truncated"


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the OS/2 header has 16-bit sides
        return _unpack("<HH", data, 18)
    width, height = _unpack("<ii", data, 18)
    return abs(width), abs(height)


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """Tags 256 and 257 of the first directory; of a tag that is there twice, the first, which is what libtiff takes."""
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, directory)
    sides: dict[int, int] = {}
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (256, 257) and tag not in sides:
            if kind not in _TIFF_INTEGERS:
                return None
            (sides[tag],) = struct.unpack_from(order + _TIFF_INTEGERS[kind], data, entry + 8)
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """RFC 9649: the extended, the lossless and the lossy form keep their sides in different places."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = _unpack("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
