import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timebill_ros.core.optimal_eviction_ratio import optimal_eviction_ratio
from timebill_ros.core.time_model import TimeModel


def decode_time_s(p, q, kept, response_tokens):
    """Return the paper's sum, step by step."""
    return sum(p * (kept + i - 1) + q for i in range(1, response_tokens))


@settings(max_examples=3000, deadline=None)
@given(
    p=st.floats(1e-9, 1e-3),
    q=st.floats(0, 0.1),
    prompt=st.integers(1, 8000),
    response=st.integers(2, 60),
    share=st.floats(-0.2, 1.2),
    ratio_max=st.floats(0, 0.99),
)
def test_closed_form_is_the_smallest_ratio_that_fits(p, q, prompt, response, share, ratio_max):
    fastest = decode_time_s(p, q, (1 - ratio_max) * prompt, response)
    slowest = decode_time_s(p, q, prompt, response)
    budget = fastest + share * (slowest - fastest)
    ratio = optimal_eviction_ratio(TimeModel(0, 0, 0, p, q), prompt, response, budget, ratio_max)
    slack = 1e-9 * slowest

    assert 0.0 <= ratio <= ratio_max
    if fastest <= budget - slack:
        assert decode_time_s(p, q, (1 - ratio) * prompt, response) <= budget + slack
    else:
        assert ratio == pytest.approx(ratio_max, abs=1e-6) or fastest <= budget + slack
    if ratio > 0.0:
        less = max(0.0, ratio - max(1e-6, 1e-6 * ratio))
        assert decode_time_s(p, q, (1 - less) * prompt, response) >= budget - slack


def test_the_printed_equation_is_not_used():
    # With p far from 1, the paper's (N_W - 2) / (2 * p * N_x) is far from (N_W - 2) / (2 * N_x).
    p, q, prompt, response, budget = 1e-5, 0.01, 2000, 101, 2.0
    expected = 1 - budget / (p * prompt * 100) + 99 / (2 * prompt) + q / (p * prompt)
    assert 0.0 < expected < 0.95
    ratio = optimal_eviction_ratio(TimeModel(0, 0, 0, p, q), prompt, response, budget, 0.95)
    assert ratio == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('p', [0.0, 5e-324, 1e-300])
def test_a_cache_that_costs_nothing_leaves_nothing_to_choose(p):
    model = TimeModel(0, 0, 0, p, 0.01)
    assert optimal_eviction_ratio(model, 1000, 11, 0.2, 0.9) == 0.0
    assert optimal_eviction_ratio(model, 1000, 11, 0.05, 0.9) == 0.9


@pytest.mark.parametrize('response', [-3, 0, 1])
def test_without_a_step_only_a_negative_budget_is_too_small(response):
    model = TimeModel(0, 0, 0, 1e-5, 0.01)
    assert optimal_eviction_ratio(model, 1000, response, 0.0, 0.9) == 0.0
    assert optimal_eviction_ratio(model, 1000, response, -0.1, 0.9) == 0.9


def test_infinite_budgets():
    model = TimeModel(0, 0, 0, 1e-5, 0.01)
    assert optimal_eviction_ratio(model, 1000, 50, math.inf, 0.9) == 0.0
    assert optimal_eviction_ratio(model, 1000, 50, -math.inf, 0.9) == 0.9
