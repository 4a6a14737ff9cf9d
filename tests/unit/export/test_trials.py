"""Pictures that an accuracy budget is measured on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aand_edge.data.layouts import Category, Sample
from aand_edge.errors import UsageError
from aand_edge.export.export import Exported
from aand_edge.export.trials import FEWEST_ANOMALIES, labelled_set, map_shape, synthetic_set
from aand_edge.holdout import HoldoutSet

Export = Callable[..., Exported]


def test_few_pictures_carry_several_anomalies_each(export: Export) -> None:
    exported = export(precision="fp32")
    holdout = HoldoutSet.read(exported.holdout)
    judged = synthetic_set(holdout, exported.facts)
    assert len(holdout.frames) == 3
    assert (~judged.anomalous).sum() == 3
    assert judged.anomalous.sum() > 0.6 * FEWEST_ANOMALIES  # one in five is left clean, and left out
    assert np.array_equal(np.stack(judged.frames[:3]), holdout.frames)
    assert all(np.shares_memory(frame, holdout.frames) for frame in judged.frames[:3]), "camera frames fill memory"
    assert not any(mask.any() for mask in judged.masks[:3] if mask is not None)
    assert all(mask is None or mask.any() for mask in judged.masks[3:])
    assert len({frame.tobytes() for frame in judged.frames}) == len(judged.frames)


def test_maps_of_a_region_are_laid_into_the_frame(export: Export) -> None:
    exported = export(region=True)
    judged = synthetic_set(HoldoutSet.read(exported.holdout), exported.facts)
    shape = map_shape(exported.facts)
    assert shape != (64, 64)
    assert {mask.shape for mask in judged.masks if mask is not None} == {shape}


def test_a_test_split_of_one_kind_judges_nothing(export: Export) -> None:
    facts = export(precision="fp32").facts
    exported = export(precision="fp32")
    sample = Sample(exported.graph, "good")
    with pytest.raises(UsageError, match="no test pictures of both kinds"):
        labelled_set(Category("part", "folder", exported.graph.parent, (sample,), (sample,)), facts)
