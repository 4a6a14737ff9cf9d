"""A region's map, laid back on the frame."""

from __future__ import annotations

import numpy as np

from aand_edge.data.resize import uncrop


def test_a_map_of_the_whole_frame_stays_as_it_is() -> None:
    anomaly_map = np.ones((8, 8), np.float32)
    assert uncrop(anomaly_map, (100, 200), None) is anomaly_map


def test_a_regions_map_lies_where_the_region_does() -> None:
    whole = uncrop(np.full((10, 10), 3, np.float32), (100, 200), (50, 20, 100, 50))
    assert whole.shape == (20, 20)  # one row is 5 pixels of the frame, one column 10
    rows, columns = np.nonzero(whole)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 13, 5, 14)
    assert whole.max() == 3
