"""The expected share of the prompt in time: a trade of context for the chance to be in time."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timebill_ros.core.expected_eviction import expected_kept_tokens, in_time_probability
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=2.5e-7, b=8e-4, c=0.02, p=5e-6, q=0.003, e1=1e-5, e0=0.005, delta=0.3)
models = st.builds(
    TimeModel,
    a=st.just(0.0),
    b=st.just(0.0),
    c=st.just(0.0),
    p=st.one_of(st.just(0.0), st.floats(1e-9, 1e-4)),
    q=st.floats(0, 0.05),
    e1=st.floats(0, 1e-4),
    e0=st.floats(0, 0.1),
    delta=st.floats(0, 1),
    step_delta=st.floats(0, 1),
)
prompts = st.integers(1, 1500)
answers = st.integers(1, 400)
shares = st.floats(-0.2, 2.0)


def worth(model: TimeModel, prompt: int, kept: int, tokens: int, remaining_s: float) -> float:
    mean_s = model.t_after_prefill(prompt, kept, tokens)
    return kept / prompt * in_time_probability(mean_s, model.spread(tokens - 1), remaining_s)


@settings(max_examples=300, deadline=None)
@given(model=models, prompt=prompts, tokens=answers, share=shares, data=st.data())
def test_nothing_is_worth_more_than_what_is_chosen(model, prompt, tokens, share, data):
    fewest = data.draw(st.integers(1, prompt))
    remaining_s = share * model.t_after_prefill(prompt, prompt, tokens)
    kept = expected_kept_tokens(model, prompt, fewest, tokens, remaining_s)
    best = max(worth(model, prompt, n, tokens, remaining_s) for n in range(fewest, prompt + 1))
    if kept is None:
        assert best == 0.0
    else:
        assert fewest <= kept <= prompt
        # What lies between the numbers that are compared keeps up to 1 % more.
        assert worth(model, prompt, kept, tokens, remaining_s) >= best - 0.0101


@settings(max_examples=300, deadline=None)
@given(model=models, prompt=prompts, tokens=answers, one=shares, other=shares)
def test_more_time_never_raises_eviction(model, prompt, tokens, one, other):
    full_s = model.t_after_prefill(prompt, prompt, tokens)
    tight, wide = (
        expected_kept_tokens(model, prompt, 1, tokens, share * full_s)
        for share in sorted((one, other))
    )
    if tight is not None:
        assert wide is not None
        assert wide >= tight


@settings(max_examples=300, deadline=None)
@given(model=models, prompt=prompts, tokens=answers, share=st.floats(0.01, 2.0), data=st.data())
def test_of_text_that_is_delivered_in_part_eviction_never_gives_more(
    model, prompt, tokens, share, data
):
    kept = data.draw(st.integers(1, prompt))
    full_s, less_s = (model.t_after_prefill(prompt, n, tokens) for n in (prompt, kept))
    remaining_s = share * full_s
    delivered = min(1.0, remaining_s / full_s) if full_s else 1.0
    evicted = kept / prompt * (min(1.0, remaining_s / less_s) if less_s else 1.0)
    assert evicted <= delivered + 1e-9


@pytest.mark.parametrize('remaining_s', [60.0, math.inf])
def test_time_enough_keeps_everything(remaining_s):
    assert expected_kept_tokens(MODEL, 2000, 100, 100, remaining_s) == 2000


@pytest.mark.parametrize('remaining_s', [0.0, -1.0, -math.inf])
def test_no_time_has_no_best_choice(remaining_s):
    assert expected_kept_tokens(MODEL, 2000, 100, 100, remaining_s) is None


def test_little_is_evicted_where_the_answer_may_be_in_time_without():
    """Where alpha* is alpha_max already, as the worst case fits at no ratio."""
    least_s = MODEL.t_after_prefill(2000, 100, 100)
    full_s = MODEL.t_after_prefill(2000, 2000, 100)
    remaining_s = 1.29 * least_s
    assert remaining_s < 1.3 * least_s < full_s
    kept = expected_kept_tokens(MODEL, 2000, 100, 100, remaining_s)
    assert 200 < kept < 1500


def test_a_surer_estimate_keeps_what_just_fits():
    sure = replace(MODEL, delta=0.001)
    remaining_s = MODEL.t_after_prefill(2000, 1000, 100)
    kept = expected_kept_tokens(sure, 2000, 100, 100, remaining_s)
    assert 960 <= kept <= 1000


@pytest.mark.parametrize(
    ('remaining_s', 'probability'), [(1.0, 0.5), (1.3, 0.99), (1 / 1.3, 0.01), (1e9, 1.0)]
)
def test_the_estimate_is_the_median_and_the_worst_case_holds_for_99_percent(
    remaining_s, probability
):
    spread = MODEL.spread()
    assert in_time_probability(1.0, spread, remaining_s) == pytest.approx(probability)


def test_an_estimate_without_a_margin_is_certain():
    assert in_time_probability(1.0, 0.0, 1.01) == pytest.approx(1.0)
    assert in_time_probability(1.0, 0.0, 0.99) == pytest.approx(0.0)


def test_noise_of_single_steps_averages_out_over_a_long_answer():
    sure = replace(MODEL, delta=0.05)
    noisy = replace(sure, step_delta=1.0)
    moved = []
    for tokens in (50, 500):
        remaining_s = MODEL.t_after_prefill(2000, 1000, tokens)
        kept = [
            expected_kept_tokens(model, 2000, 100, tokens, remaining_s) for model in (sure, noisy)
        ]
        moved.append(kept[0] - kept[1])
    assert moved[0] > 2 * moved[1] >= 0
