"""What is concluded from queries that were asked in three arms."""

import math

import pytest

from benchmark.predictor.planned_lengths import Asked, _differences, _figures


def row(arm: str, completed: bool, alpha: float, response: int, worst: int) -> Asked:
    outcome = 'EOS' if completed else 'KILLED'
    return Asked(arm, completed, outcome, alpha, 16, worst, response)


ASKED = [
    [row('longest', False, 0.9, 5, 100), row('predicted', True, 0.2, 50, 40)],
    [row('longest', True, 0.5, 10, 100), row('predicted', True, 0.0, 10, 40)],
    [row('longest', False, math.nan, 0, 0), row('predicted', False, math.nan, 0, 0)],
]


def test_figures_count_misses_but_average_plans_only() -> None:
    found = _figures(ASKED, 'predicted')
    assert found['completion'] == pytest.approx(2 / 3)
    assert found['mean_alpha'] == pytest.approx(0.1)
    assert found['evicted'] == 0.5
    assert found['covered'] == 0.5
    assert found['outcomes'] == {'EOS': 2, 'KILLED': 1}
    assert (found['planned'], found['n']) == (2, 3)


def test_differences_are_query_by_query() -> None:
    found = _differences(ASKED, 'longest')
    assert found['completion'] == pytest.approx(1 / 3)
    assert found['interval'] == [0.0, 1.0]
