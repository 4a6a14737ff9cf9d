"""Judged pictures for people to see: the picture, where the engine saw something, and where the defect really is."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aand_edge.bench.accuracy import Example
from aand_edge.data.pictures import read_mask, read_picture
from aand_edge.data.resize import resize
from aand_edge.runtime.verdict import overlay

Picture = NDArray[np.uint8]

SIDE = 300  # longer side of a tile, pixels
OUTLINE = (0, 225, 255)  # RGB; no metal and no heat has this colour


@dataclass(frozen=True)
class Tile:
    """One picture as a data URI, with the words under it."""

    uri: str
    caption: str


def tiles_of(example: Example, threshold: float) -> list[Tile]:
    """The picture, the heat over it and, where somebody drew it, the defect's outline."""
    sample = example.judgement.sample
    picture = read_picture(sample.path)
    small = resize(picture, *tile_size(picture.shape[0], picture.shape[1]))
    tiles = [
        Tile(data_uri(small), "picture"),
        Tile(data_uri(heated(small, example.anomaly_map, threshold)), "what the engine sees"),
    ]
    if sample.mask is not None:
        mask = read_mask(sample.mask, (picture.shape[0], picture.shape[1]))
        tiles.append(Tile(data_uri(outline(small, mask)), "the real defect"))
    return tiles


def tile_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of a picture shrunk, never enlarged, to SIDE on its longer side."""
    scale = min(SIDE / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def heated(picture: Picture, anomaly_map: NDArray[np.float32], threshold: float) -> Picture:
    """The picture (H, W, 3), RGB, as the camera loop's overlay shows it."""
    bgr = np.ascontiguousarray(picture[..., ::-1])
    return overlay(bgr, anomaly_map, threshold)[..., ::-1]


def outline(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    """The picture (H, W, 3) with the border of the mask, of any size, drawn in it."""
    height, width = picture.shape[:2]
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    borders, _ = cv2.findContours((share > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = picture.copy()
    cv2.drawContours(drawn, borders, -1, OUTLINE, 2, cv2.LINE_AA)
    return drawn


def data_uri(picture: Picture) -> str:
    """RGB (H, W, 3) as a JPEG in a data URI."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
