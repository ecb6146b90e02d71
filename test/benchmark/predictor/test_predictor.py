"""The predictor benchmark's sums, on planted lengths."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark.predictor import arms, diagnosis, predictor
from benchmark.predictor.arms import Study
from benchmark.predictor.held_out_sources import held_out_split
from support.planted_lengths import SOURCES, planted
from timebill_ros.core.length_distribution import BUCKETS, bucket_of
from timebill_ros.training.length_file import LengthFile

DATA = planted(300)
SPLIT = DATA.random_split()
TARGET: Any = SimpleNamespace()
STUDY = Study(DATA, [''] * 300, TARGET, seed=0)
ACTUAL = DATA.response_tokens


def test_simple_baselines_know_the_training_records_only() -> None:
    assert set(arms.median(STUDY, SPLIT)) == {np.median(ACTUAL[SPLIT.train])}
    means = arms.source_mean(STUDY, SPLIT)
    for number, source in enumerate(SOURCES):
        rows = [row for row in SPLIT.train if DATA.records[row].source == source]
        assert means[number] == pytest.approx(ACTUAL[rows].mean())
    unseen = arms.source_mean(STUDY, held_out_split(DATA))
    train = held_out_split(DATA).train
    libero = [row for row, record in enumerate(DATA.records) if record.source == 'libero']
    assert set(unseen[libero]) == {ACTUAL[train].mean()}


def test_the_linear_baseline_finds_a_line() -> None:
    predicted = arms.prompt_length(STUDY, SPLIT)
    slope, offset = np.polyfit(DATA.prompt_tokens[SPLIT.train], ACTUAL[SPLIT.train], 1)
    np.testing.assert_allclose(predicted, np.maximum(slope * DATA.prompt_tokens + offset, 1.0))


def test_a_perfect_prediction_covers_all_and_half_of_it_covers_from_k_2_on() -> None:
    assert predictor._coverage(ACTUAL.astype(float), DATA, SPLIT)[1] == 1.0
    halves = predictor._coverage(ACTUAL / 2, DATA, SPLIT)
    assert (halves[1], halves[2]) == (0.0, 1.0)


def test_a_true_distribution_is_calibrated() -> None:
    shares = np.bincount([bucket_of(int(n)) for n in ACTUAL], minlength=BUCKETS) / len(ACTUAL)
    found = predictor._calibration(np.tile(shares, (len(ACTUAL), 1)), DATA, SPLIT)
    for quantile, share in found.items():
        assert share == pytest.approx(quantile, abs=0.12)
    certain = np.zeros((len(ACTUAL), BUCKETS))
    certain[np.arange(len(ACTUAL)), [bucket_of(int(n)) for n in ACTUAL]] = 1.0
    assert set(predictor._calibration(certain, DATA, SPLIT).values()) == {1.0}


def test_a_worse_arm_is_worse_by_an_interval_above_zero() -> None:
    arms = {'ours': ACTUAL.astype(float), 'worse': ACTUAL + 50.0}
    found = predictor._errors(arms, DATA, SPLIT)
    assert found['ours']['mae'] == 0.0
    assert found['baselines']['worse']['mae'] == pytest.approx(50.0)
    assert found['baselines']['worse']['mae_over_ours_interval'][0] > 0.0


def test_the_ceiling_is_of_the_prompts_that_were_answered_twice(tmp_path: Path) -> None:
    with LengthFile(tmp_path / 'lengths-again.jsonl', DATA.key) as again:
        for record in DATA.records[:40]:
            again.add(record)
    ceiling = predictor._ceiling(DATA, tmp_path / 'lengths-again.jsonl')
    assert (ceiling['n'], ceiling['r2'], ceiling['identical']) == (40, 1.0, 1.0)


def test_errors_are_told_apart_by_how_an_answer_ended() -> None:
    ends = ['EOS' if number % 3 else 'LENGTH' for number in range(len(ACTUAL))]
    records = [
        dataclasses.replace(record, finish_reason=reason)
        for record, reason in zip(DATA.records, ends, strict=True)
    ]
    data = dataclasses.replace(DATA, records=records)
    predicted = ACTUAL + np.where([reason == 'EOS' for reason in ends], 10.0, 30.0)
    found = diagnosis.by_finish_reason(predicted, data, SPLIT)
    assert {reason: row['mae'] for reason, row in found.items()} == {
        'EOS': pytest.approx(10.0),
        'LENGTH': pytest.approx(30.0),
    }
    assert sum(row['n'] for row in found.values()) == len(SPLIT.test)


def test_a_mean_is_of_the_whole_distribution_and_no_longer_than_an_answer_may_be() -> None:
    halves = np.zeros((len(ACTUAL), BUCKETS))
    halves[:, 0] = halves[:, -1] = 0.5
    found = diagnosis.by_mean(halves, DATA, SPLIT)
    mean = (8.0 + DATA.key.max_new_tokens) / 2
    assert found['mae'] == pytest.approx(np.abs(ACTUAL[SPLIT.test] - mean).mean())


def test_a_learning_curve_ends_with_all_records(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def spy(study: Study, split: Any) -> Any:
        assert set(split.train) <= set(SPLIT.train)
        seen.append(len(split.train))
        return ACTUAL.astype(float)

    monkeypatch.setattr(diagnosis, 'ours', spy)
    found = diagnosis.by_training_records(STUDY, SPLIT)
    assert list(found) == seen == sorted(seen)
    assert seen[-1] == len(SPLIT.train)
