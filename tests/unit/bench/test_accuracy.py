import time

import cv2
import numpy as np
import pytest

from aand_edge.bench import accuracy as accuracy_module
from aand_edge.bench.accuracy import EXAMPLES, judge_split, prepare
from aand_edge.data.layouts import Sample
from aand_edge.errors import DataError


def judged(category, contender, runner, **fields):
    return judge_split(runner, contender(runner, **fields), category.test)


def test_verdicts_are_counted_at_the_engines_own_threshold(category, contender, runner):
    accuracy = judged(category, contender, runner(), threshold=0.5)
    assert accuracy.false_rejects == 1  # the good part at 140
    assert accuracy.missed == 1  # the scratch at 100
    assert [judgement.rejected for judgement in accuracy.judgements] == [False, False, True, True, False, True]
    assert [round(judgement.score * 255) for judgement in accuracy.judgements] == [50, 60, 140, 200, 100, 250]
    stricter = judged(category, contender, runner(), threshold=0.3)
    assert (stricter.false_rejects, stricter.missed) == (1, 0)


def test_a_score_on_the_threshold_passes(category, contender, runner):
    accuracy = judged(category, contender, runner(), threshold=float(np.float32(140 / 255)))
    assert accuracy.false_rejects == 0


def test_figures_follow_from_scores_and_masks(category, contender, runner):
    metrics = judged(category, contender, runner()).metrics
    assert metrics.image_auroc == pytest.approx(8 / 9)  # the scratch at 100 is below one good of three
    assert metrics.f1_max == pytest.approx(6 / 7)
    assert metrics.pixel_auroc is not None
    assert metrics.aupro > 0.95


def test_colour_follows_the_manifest(category, contender, runner, tmp_path):
    picture = tmp_path / "red.png"
    cv2.imwrite(str(picture), np.full((20, 30, 3), (0, 0, 255), np.uint8))
    item = prepare(Sample(picture, "good"), contender())
    assert item.frame.shape == (16, 16, 3)
    assert item.size == (20, 30)
    assert item.frame[0, 0].tolist() == [0, 0, 255]


def test_batches_are_filled_up_and_the_filling_is_not_judged(category, contender, runner):
    engine = runner()
    accuracy = judged(category, contender, engine, batch=4)
    assert engine.batches == [(4, 16, 16, 3)] * 2
    assert len(accuracy.judgements) == 6
    assert accuracy.metrics == judged(category, contender, runner()).metrics


def test_decoding_and_resizing_are_timed_apart(category, contender, runner, monkeypatch):
    real = accuracy_module.read_picture

    def slow(path):
        time.sleep(0.01)
        return real(path)

    monkeypatch.setattr(accuracy_module, "read_picture", slow)
    accuracy = judged(category, contender, runner())
    assert accuracy.decode_ms >= 10
    assert accuracy.resize_ms < 10


def test_without_anomalies_or_goods_nothing_is_invented(category, contender, runner):
    engine = runner()
    goods = tuple(sample for sample in category.test if not sample.anomalous)
    accuracy = judge_split(engine, contender(engine), goods)
    assert accuracy.missed is None
    assert accuracy.false_rejects == 1
    assert set(accuracy.metrics.to_dict().values()) == {None}
    anomalous = tuple(sample for sample in category.test if sample.anomalous)
    assert judge_split(engine, contender(engine), anomalous).false_rejects is None


def test_an_empty_split_is_no_error(contender, runner):
    accuracy = judge_split(runner(), contender(), ())
    assert (accuracy.missed, accuracy.false_rejects, accuracy.decode_ms, accuracy.examples) == (None, None, None, ())


def test_an_engine_that_answers_nan_is_refused(category, contender, runner):
    engine = runner(offset=float("nan"))
    with pytest.raises(DataError, match="not finite"):
        judge_split(engine, contender(engine), category.test)


def test_a_mask_that_does_not_fit_is_named(category, contender, runner):
    mask = category.root / "ground_truth" / "scratch" / "0_mask.png"
    cv2.imwrite(str(mask), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r"0_mask\.png"):
        judged(category, contender, runner())


def test_a_mask_that_vanishes_at_the_maps_size_counts_for_the_image_figures_only(category, contender, runner):
    for number in (0, 1):
        mask = category.root / "ground_truth" / "scratch" / f"{number}_mask.png"
        cv2.imwrite(str(mask), np.zeros((16, 16), np.uint8))
    metrics = judged(category, contender, runner()).metrics
    assert metrics.pixel_auroc is None
    assert metrics.image_auroc is not None


def test_progress_counts_every_picture(category, contender, runner):
    seen = []
    engine = runner()
    judge_split(engine, contender(engine, batch=4), category.test, lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]


def test_examples_are_the_lowest_misses_and_the_highest_of_the_rest(category, contender, runner):
    samples = category.test * 3  # more of each group than are kept
    engine = runner()
    examples = judge_split(engine, contender(engine), samples).examples
    groups = [example.group for example in examples]
    assert groups == ["missed"] * 3 + ["found"] * EXAMPLES + ["false reject"] * 3 + ["passed"] * EXAMPLES
    found = [round(example.judgement.score * 255) for example in examples if example.group == "found"]
    assert found == [250, 250, 250, 200]
