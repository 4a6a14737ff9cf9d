"""The test split that several scripts judge on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aand_edge.data.layouts import Sample
from aand_edge.data.masks import sample_mask
from aand_edge.data.pictures import read_picture

Masks = list[NDArray[np.bool_] | None]  # of N pictures, bool (S, S); None where nobody drew one


def drawn_masks(samples: Sequence[Sample], size: int) -> Masks:
    """Masks of the samples for maps of `size` pixels a side; see `sample_mask`."""
    return [sample_mask(sample, read_picture(sample.path).shape[:2], (size, size)) for sample in samples]
