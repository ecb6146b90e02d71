"""How answers are counted, with those that were cut off."""

from fractions import Fraction

import numpy as np
import pytest

from timebill_ros.core.length_cells import (
    CELLS,
    EDGES,
    SPREAD,
    UNIFORM,
    LengthCounts,
    below,
    likelihood,
)

LIMIT = 1024  # the edges are then whole tokens: 0, 1, 4, 9, ...
FOREVER = 1e12
NO_PRIOR = 1e-9


def counted(*answers: tuple[int, bool], memory: float = FOREVER) -> LengthCounts:
    counts = LengthCounts()
    for tokens, is_whole in answers:
        counts.add(tokens, LIMIT, is_whole, memory)
    return counts


def test_cells_cover_all_shares_and_a_prior_is_a_distribution() -> None:
    assert (EDGES[0], EDGES[-1], len(EDGES)) == (0.0, 1.0, CELLS + 1)
    assert (np.diff(EDGES) > 0).all()
    assert UNIFORM.sum() == pytest.approx(1.0)
    assert UNIFORM[-1] == 0.5


def kaplan_meier(answers: list[tuple[int, Fraction, bool]]) -> list[Fraction]:
    """Return the estimate by hand, from cells of answers, their weights and whether they ended.

    One that was cut off has passed its cell.
    """
    found, left = [], Fraction(1)
    for cell in range(CELLS):
        at_risk = sum(weight for at, weight, _ in answers if at >= cell)
        ended = sum(weight for at, weight, is_whole in answers if at == cell and is_whole)
        found.append(left * ended / at_risk if at_risk else Fraction(0))
        left -= found[-1]
    return [*found, left]


def test_ends_and_cuts_give_the_estimate_of_kaplan_and_meier() -> None:
    # Cuts are at edges: behind the cells (1, 4] and (49, 64], and at max_new_tokens.
    counts = counted((7, True), (8, True), (4, False), (150, True), (64, False), (1024, False))
    answers = [(1, Fraction(1), False), (7, Fraction(1), False), (CELLS, Fraction(1), False)]
    for cell in (2, 2, 12):
        answers += [
            (cell + beside, Fraction(weight, 9), True)
            for beside, weight in zip(range(-2, 3), (1, 2, 3, 2, 1), strict=True)
        ]
    expected = [float(probability) for probability in kaplan_meier(answers)]
    found = counts.probabilities(UNIFORM, NO_PRIOR)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0.1 < expected[2] < expected[-1]


def test_ends_beyond_the_first_and_the_last_cell_count_in_it() -> None:
    assert counted((1, True)).ended[:3] == pytest.approx([6 / 9, 2 / 9, 1 / 9])
    assert counted((LIMIT, True)).ended[-3:] == pytest.approx([1 / 9, 2 / 9, 6 / 9])


def test_an_answer_that_is_cut_off_in_a_cell_counts_there_by_the_part_that_it_passed() -> None:
    counts = counted((20, False))  # (16, 25]: the fifth cell
    assert counts.begun[:4].tolist() == [1.0] * 4
    assert counts.begun[4] == pytest.approx(4 / 9)
    assert counts.begun[5:].max() == counts.ended.max() == 0.0


def test_to_reach_max_new_tokens_is_no_length() -> None:
    cut = counted((LIMIT, False)).probabilities(UNIFORM, NO_PRIOR)
    assert cut[-1] == pytest.approx(1.0)
    whole = counted((LIMIT, True)).probabilities(UNIFORM, NO_PRIOR)
    assert whole[-1] == pytest.approx(0.0, abs=1e-6)


def test_without_answers_the_prior_is_told_and_with_many_it_is_forgotten() -> None:
    prior = np.arange(1.0, CELLS + 2)
    prior /= prior.sum()
    np.testing.assert_allclose(LengthCounts().probabilities(prior, 4.0), prior)
    many = counted(*[(50, True)] * 4000).probabilities(prior, 4.0)  # (49, 64]
    assert many[5:10] == pytest.approx(SPREAD, abs=0.01)


def test_the_prior_counts_as_so_many_answers_that_came_to_each_cell() -> None:
    prior = np.full(CELLS + 1, 1.0 / (CELLS + 1))
    told = counted((64, False), (64, False)).probabilities(prior, 3.0)
    left = 1.0
    for cell, probability in enumerate(told[:-1]):
        answers = 2.0 if cell < 8 else 0.0
        hazard = 3.0 / (CELLS + 1 - cell) / (3.0 + answers)
        assert probability == pytest.approx(left * hazard)
        left -= probability
    assert told[-1] == pytest.approx(left)


def test_older_answers_fade() -> None:
    counts = counted(*[(5, True)] * 200, *[(500, True)] * 10, memory=10.0)
    assert counts.begun[0] == pytest.approx(10.0, rel=1e-6)
    assert counts.ended[:5].sum() == pytest.approx(10.0 * 0.9**10, rel=1e-6)


def test_shares_are_of_max_new_tokens_and_a_token_is_as_wide_as_a_length() -> None:
    counts = LengthCounts()
    counts.add(1, 4, True, FOREVER)  # (0, 0.25], the middle of which is in (0.119, 0.141]
    assert counts.ended.argmax() == 11
    counts.add(9, 4, False, FOREVER)  # longer than it may be
    assert counts.begun[-1] == 1.0


@pytest.mark.parametrize('limit', [1, 3, 64, 1000])
def test_a_likelihood_is_the_sum_of_all_that_may_become_of_an_answer(limit: int) -> None:
    told = counted((3, True), (90, True), (700, False)).probabilities(UNIFORM, 2.0)
    ends = [likelihood(told, tokens, limit, is_whole=True) for tokens in range(1, limit + 1)]
    assert min(ends) > 0
    assert sum(ends) + likelihood(told, limit, limit, is_whole=False) == pytest.approx(1.0)
    assert likelihood(told, limit, limit, is_whole=False) == pytest.approx(told[-1])
    assert below(told, 0.0) == 0.0
    assert below(told, 1.0) == pytest.approx(1.0 - told[-1])
