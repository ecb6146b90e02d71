"""Training finds what is planted, by each objective, and only in the training records."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmark.predictor.regression_objective import RegressionObjective
from support.planted_lengths import DEPTH, planted
from timebill_ros.training.head_training import HeadSettings, head_lengths, train_head
from timebill_ros.training.length_errors import length_errors
from timebill_ros.training.length_objectives import (
    BucketObjective,
    Objective,
    medians,
)

SETTINGS = HeadSettings(layers=(4,), members=2, dropout=0.1, learning_rate=3e-3, most_epochs=25)
DATA = planted()


@pytest.mark.parametrize(
    'objective',
    [
        BucketObjective(DATA.response_tokens),
        BucketObjective(DATA.response_tokens, smoothing=0.0),
        BucketObjective(DATA.response_tokens, 128, 64),
        RegressionObjective(DATA.response_tokens),
    ],
    ids=['soft', 'hard', '128 buckets', 'regression'],
)
def test_a_planted_length_is_learned(objective: Objective) -> None:
    split, actual = DATA.random_split(), DATA.response_tokens
    head = train_head(DATA, split, DEPTH, objective, SETTINGS)
    found = head_lengths(head, DATA, objective, SETTINGS)[split.test]
    constant = np.full(len(split.test), np.median(actual[split.train]))
    ours = length_errors(found, actual[split.test])
    assert ours.mae < 0.6 * length_errors(constant, actual[split.test]).mae
    assert ours.r2 > 0.5


def test_training_is_the_same_again_and_differs_by_its_seed() -> None:
    objective = BucketObjective(DATA.response_tokens)
    short = dataclasses.replace(SETTINGS, most_epochs=2)
    heads = [
        train_head(DATA, DATA.random_split(), DEPTH, objective, short, seed) for seed in (0, 0, 1)
    ]
    weights = [head.inner.detach() for head in heads]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_test_records_do_not_touch_the_head() -> None:
    split = DATA.random_split()
    states = DATA.states.copy()
    states[split.test] = 1e4
    short = dataclasses.replace(SETTINGS, most_epochs=2)
    heads = [
        train_head(data, split, DEPTH, BucketObjective(DATA.response_tokens), short)
        for data in (DATA, dataclasses.replace(DATA, states=states))
    ]
    assert torch.equal(heads[0].inner, heads[1].inner)


def test_soft_labels_are_distributions_around_the_length() -> None:
    lengths = np.array([1, 16, 17, 500, 8000])
    labels = BucketObjective(lengths, smoothing=0.1).labels
    torch.testing.assert_close(labels.sum(1), torch.ones(5))
    assert [int(bucket) for bucket in labels.argmax(1)][2:4] == [1, 31]
    spread = (labels > 0.01).sum(1)
    assert spread[3] > spread[2]


def test_medians_are_upper_edges() -> None:
    rows = np.array([[0.6, 0.4, 0.0], [0.2, 0.2, 0.6]])
    assert medians(rows, 16).tolist() == [16.0, 48.0]
