import base64

import cv2
import numpy as np
import pytest

from aand_edge.bench.accuracy import judge_split
from aand_edge.bench.gallery import SIDE, data_uri, heated, outline, tile_size, tiles_of


def decoded(uri):
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 512), (SIDE, SIDE // 2)), ((200, 100), (200, 100)), ((5000, 3), (SIDE, 1))]
)
def test_tiles_are_shrunk_never_enlarged(size, expected):
    assert tile_size(*size) == expected


def test_heat_lies_where_the_map_is_above_the_threshold_and_keeps_the_colours_elsewhere():
    picture = np.full((32, 32, 3), (200, 30, 20), np.uint8)
    spot = np.zeros((16, 16), np.float32)
    spot[4:8, 4:8] = 1.0
    shown = heated(picture, spot, 0.5)
    assert (shown[24:, 24:] == picture[24:, 24:]).all()
    assert (shown[10:14, 10:14] != picture[10:14, 10:14]).any(axis=-1).all()


def test_the_outline_goes_round_the_mask_of_another_size():
    picture = np.full((50, 50, 3), 90, np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[80:120, 80:120] = True
    drawn = outline(picture, mask)
    assert (drawn[25, 25] == 90).all()
    assert (drawn[5, 5] == 90).all()
    assert (drawn[20, 25] != 90).any()
    assert (picture == 90).all()


def test_one_pixel_of_a_large_mask_is_still_outlined():
    mask = np.zeros((2000, 2000), bool)
    mask[1000, 1000] = True
    assert (outline(np.full((100, 100, 3), 90, np.uint8), mask) != 90).any()


def test_colours_survive_the_encoding():
    red = np.full((16, 16, 3), (200, 30, 20), np.uint8)
    assert np.abs(decoded(data_uri(red)).astype(int) - red).max() < 6


def test_a_picture_without_a_mask_has_no_third_tile(category, contender, runner):
    engine = runner()
    examples = judge_split(engine, contender(engine), category.test).examples
    captions = {e.judgement.sample.kind: [tile.caption for tile in tiles_of(e, 0.5)] for e in examples}
    assert len(captions["scratch"]) == 3
    assert len(captions["stain"]) == 2
    assert len(captions["good"]) == 2
