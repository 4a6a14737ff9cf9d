"""Where the defect of a test picture is, at the size of the map that it is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aand_edge.data.layouts import Sample
from aand_edge.data.pictures import read_mask
from aand_edge.data.resize import resize_mask


def sample_mask(sample: Sample, picture: tuple[int, int], map_shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """bool at `map_shape`: all false for a good part.

    None where nobody drew a mask, or where it is so small that it vanishes at that size: the picture then counts for
    the image's figures and not for the pixels', since as a mask without a pixel it would count as a good part.

    picture   height and width of the sample's picture
    """
    if not sample.anomalous:
        return np.zeros(map_shape, dtype=bool)
    if sample.mask is None:
        return None
    mask = resize_mask(read_mask(sample.mask, picture), *map_shape)
    return mask if mask.any() else None
