"""The benchmark of learned lengths: what is told of a length, and how it is judged."""

import numpy as np
import pytest

from benchmark.predictor.learned_lengths import QUANTILES, TOLERANCE, _figures, holds
from benchmark.predictor.length_stream import WRITTEN, AskedQuestion, LengthStream, coverage
from timebill_ros.core.length_distribution import BUCKETS, LengthDistribution

LIMIT = 512


def asked(tokens: int, is_whole: bool = True, asker: str = 'a') -> AskedQuestion:
    return AskedQuestion(asker, tokens, LIMIT, is_whole)


def test_a_length_is_told_before_it_is_learned_from() -> None:
    once = LengthStream(learns=True)
    first, second = once.ask(asked(20)), once.ask(asked(20))
    assert first == LengthStream(learns=False).ask(asked(20))
    assert second.nats > first.nats
    assert LengthStream(learns=False).ask(asked(20)).nats == first.nats


def test_a_length_is_placed_among_the_lengths_that_are_as_long() -> None:
    told = LengthStream(learns=False).ask(asked(100)).places  # every length is as likely
    assert list(told) == [0, 16, 64]
    assert told[0] == pytest.approx((99 / LIMIT, 100 / LIMIT))
    assert told[64] == pytest.approx((35 / (LIMIT - 64), 36 / (LIMIT - 64)))


def test_an_answer_that_was_cut_off_is_placed_above_what_it_has() -> None:
    short = asked(400).shortened(128)
    assert (short.tokens, short.max_new_tokens, short.is_whole) == (128, 128, False)
    assert asked(128).shortened(128).is_whole
    stream = LengthStream(learns=True)
    for _ in range(3):
        stream.ask(short)
    first, last = stream.ask(short).places[64]
    assert 0.0 < first < 0.5
    assert last == pytest.approx(1.0)


def test_coverage_counts_lengths_by_parts() -> None:
    places = [(0.0, 0.05), (0.05, 0.15), (0.4, 0.5), (0.8, 1.0)]
    assert coverage(places, 0.1).tolist() == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert coverage(places, 0.9).tolist() == pytest.approx([1.0, 1.0, 1.0, 0.5])


@pytest.mark.parametrize('shift', [0.0, 0.15])
def test_quantiles_hold_for_lengths_of_the_distribution_that_is_told_and_not_for_others(
    shift: float,
) -> None:
    chance = np.random.default_rng(0)
    probabilities = np.zeros(BUCKETS)
    probabilities[: LIMIT // 16] = 1.0 / (LIMIT // 16)
    predicted = LengthDistribution(probabilities)
    stream = LengthStream(learns=False)
    rows = []
    for share in chance.random(4000):
        tokens = max(1, int(np.ceil(LIMIT * min(share + shift, 1.0))))
        rows.append([stream.ask(AskedQuestion('a', tokens, LIMIT, True, predicted))])
    figures = _figures(rows)
    assert holds(figures) == (shift == 0.0)
    assert figures['coverage']['0']['n'] == 4000
    assert figures['coverage']['256']['n'] < 4000
    assert set(figures['coverage']) == {str(written) for written in WRITTEN}


def test_one_quantile_that_does_not_hold_is_enough() -> None:
    def figures(off: float) -> dict[str, object]:
        rows = {str(share): {'share': share} for share in QUANTILES}
        rows['0.9'] = {'share': 0.9 + off}
        return {'coverage': {'0': {'quantiles': rows}, '64': {'quantiles': {}}}}

    assert holds(figures(TOLERANCE - 1e-6))
    assert not holds(figures(-TOLERANCE - 1e-6))
