"""Ways to spoil a file: bytes that are lost or changed, headers that lie, values of another type."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Rng = np.random.Generator
Spoil = Callable[[Rng, bytes], bytes]


def truncated(rng: Rng, data: bytes) -> bytes:
    return data[: int(rng.integers(0, max(1, len(data))))]


def flipped(rng: Rng, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(0, len(changed)))] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def overwritten(rng: Rng, data: bytes) -> bytes:
    start = int(rng.integers(0, len(data)))
    return data[:start] + rng.bytes(int(rng.integers(1, 200))) + data[start + int(rng.integers(0, 200)) :]


def noise(rng: Rng, data: bytes) -> bytes:
    return rng.bytes(int(rng.integers(0, 4096)))


def text(rng: Rng, data: bytes) -> bytes:
    return b"<html><body>404: there is no such file</body></html>"


SPOILS: tuple[Spoil, ...] = (truncated, flipped, overwritten, noise, text)


def nothing(rng: Rng, data: bytes) -> bytes:
    return b""


def bomb(rng: Rng, data: bytes) -> bytes:
    """A whole PNG of a few bytes whose header claims up to 4 gigapixels."""
    width, height = (int(each) for each in rng.integers(20_000, 65_536, 2))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )


WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, float("nan"), "", "x", "\0", "../../etc", [], [1], {}, {"a": 1})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index within nested JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


def retyped(rng: Rng, data: bytes) -> bytes:
    """JSON with one value of another kind, or without it."""
    value = json.loads(data)
    every = list(places(value))
    *path, key = every[int(rng.integers(0, len(every)))]
    inner = value
    for each in path:
        inner = inner[each]
    if isinstance(inner, dict) and rng.random() < 0.2:
        del inner[key]
    else:
        inner[key] = WRONG[int(rng.integers(0, len(WRONG)))]
    return json.dumps(value).encode()


def retyped_toml(rng: Rng, data: bytes) -> bytes:
    """The workspace file with one line's value of another kind; commented keys are uncommented on the way."""
    lines = data.decode().splitlines()
    keyed = [number for number, line in enumerate(lines) if " = " in line and not line.startswith("#:")]
    number = keyed[int(rng.integers(0, len(keyed)))]
    name = lines[number].lstrip("# ").split(" = ")[0]
    values = ("true", "-1", "1e400", '""', '"x"', "[]", "[1, 2]", "{a = 1}", "nan", "1979-05-27", '"\\u0000"', "= =")
    lines[number] = f"{name} = {values[int(rng.integers(0, len(values)))]}"
    return "\n".join(lines).encode()


SHAPES: tuple[list[int] | str, ...] = ([], [0], [1], [2, 2], [10**9, 10**9], [-1], "many")
TYPES = ("F64", "F16", "I32", "BOOL", "F8_E4M3", "F99")


def reshaped(rng: Rng, data: bytes) -> bytes:
    """A safetensors file that is whole, with one tensor of another shape, type or name, or without it."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    name = names[int(rng.integers(0, len(names)))]
    before = header.pop(name)
    start, end = before["data_offsets"]
    way = int(rng.integers(0, 6))
    if way == 0:
        header[name] = {**before, "shape": SHAPES[int(rng.integers(0, len(SHAPES)))]}
    elif way == 1:
        header[name] = {**before, "dtype": TYPES[int(rng.integers(0, len(TYPES)))]}
    elif way == 2:
        header[f"{name}.more"] = before
    elif way == 3:  # the same numbers, in a row
        header[name] = {**before, "shape": [int(np.prod(before["shape"]))]}
    elif way == 4 and before["dtype"] == "F32":  # half as many
        header[name] = {
            "dtype": "F64",
            "shape": [(end - start) // 8],
            "data_offsets": [start, start + (end - start) // 8 * 8],
        }
    elif way == 5:  # twice as many numbers of half the width: a reader must compare types as well as sizes
        header[name] = {**before, "dtype": "F16", "shape": [2, *before["shape"]]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def rearranged(rng: Rng, data: bytes) -> bytes:
    """An .npz file that is whole, with one array of another shape or type, with NaN for numbers, or without it."""
    with np.load(io.BytesIO(data)) as stored:
        arrays = dict(stored)
    name = sorted(arrays)[int(rng.integers(0, len(arrays)))]
    array = arrays.pop(name)
    others = (array[:0] if array.ndim else array[None], array[None], np.float32(1), np.array(["x"]), np.array(-1))
    way = int(rng.integers(0, len(others) + 2))
    if way < len(others):
        arrays[name] = others[way]
    elif way == len(others) and array.dtype.kind == "f":
        arrays[name] = np.full_like(array, np.nan)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
