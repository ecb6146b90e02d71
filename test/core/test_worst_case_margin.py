from statistics import NormalDist

import numpy as np
import pytest

from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_margin import (
    LARGEST_DELTA,
    PRIOR,
    MeasuredGeneration,
    upper_quantile,
    with_margins,
)

MODEL = TimeModel(a=2.5e-7, b=8e-4, c=0.02, p=5e-6, q=0.017, e1=4e-5, e0=0.01)


def generations(rng, count, noise=0.05, step_noise=0.4, response=None):
    """Return generations whose parts, and single steps, are off by log-normal factors."""
    found = []
    for _ in range(count):
        prompt, kept_share = int(rng.integers(100, 4000)), float(rng.uniform(0.05, 1.0))
        tokens, kept = response or int(rng.integers(2, 200)), int(kept_share * prompt) + 1
        busy, prefill, decode = np.exp(noise * rng.standard_normal(3))
        jitter = rng.lognormal(-(step_noise**2) / 2, step_noise, tokens - 1).mean()
        found.append(
            MeasuredGeneration(
                prompt,
                kept,
                tokens,
                prefill_s=float(busy * prefill * MODEL.t_prefill(prompt)),
                eviction_s=float(busy * MODEL.t_eviction(prompt)) if kept < prompt else 0.0,
                decode_s=float(busy * decode * jitter * MODEL.t_decode(kept, tokens)),
            )
        )
    return found


def covered(model, found):
    """Return the shares of generations bounded as a whole, and after the prefill."""
    whole = [
        g.prefill_s + g.eviction_s + g.decode_s
        <= model.t_wcet(g.prompt_tokens, g.kept_tokens, g.response_tokens)
        for g in found
    ]
    rest = [
        g.eviction_s + g.decode_s
        <= model.worst_case(g.response_tokens).t_after_prefill(
            g.prompt_tokens, g.kept_tokens, g.response_tokens
        )
        for g in found
        if g.response_tokens > 16
    ]
    return np.mean(whole), np.mean(rest)


@pytest.mark.parametrize('count', [20, 60, 200])
def test_fresh_generations_are_bounded(count):
    rng = np.random.default_rng(count)
    fresh = generations(rng, 500)
    shares = np.array(
        [covered(with_margins(MODEL, generations(rng, count)), fresh) for _ in range(30)]
    )
    assert (shares.mean(axis=0) > (0.985, 0.98)).all()


def test_the_margin_of_long_answers_is_not_that_of_single_steps():
    # A step is off by 40 %; a generation of 200 steps by much less.
    model = with_margins(MODEL, generations(np.random.default_rng(1), 300))
    assert 0.05 < model.decode_margin(200) < 0.35
    assert model.decode_margin(2) > 2.0 * model.decode_margin(200)


def test_it_is_tighter_than_one_margin_where_single_steps_are_noisy():
    rng = np.random.default_rng(4)
    noisy = {'noise': 0.02, 'step_noise': 0.8}
    model = with_margins(MODEL, generations(rng, 300, **noisy))
    fresh = [g for g in generations(rng, 2000, **noisy) if g.response_tokens > 16]
    after_s = np.array([g.eviction_s + g.decode_s for g in fresh])
    lengths = [(g.prompt_tokens, g.kept_tokens, g.response_tokens) for g in fresh]
    bounds = {
        'two': np.array([model.worst_case(each[2]).t_after_prefill(*each) for each in lengths]),
        'one': np.array([MODEL.t_after_prefill(*each) for each in lengths]),
    }
    tight = {
        name: np.median(bound / after_s) * np.quantile(after_s / bound, 0.99)
        for name, bound in bounds.items()
    }
    assert tight['two'] < 0.97 * tight['one']


def test_quick_generations_do_not_make_it_negative():
    quick = [
        MeasuredGeneration(
            500, 500, 50, 0.9 * MODEL.t_prefill(500), 0.0, 0.9 * MODEL.t_decode(500, 50)
        )
    ] * 50
    model = with_margins(MODEL, quick)
    assert 0.0 < model.delta < 0.2


@pytest.mark.parametrize('count', [0, 1, 2, 19])
def test_few_generations_may_raise_it_and_not_lower_it(count):
    exact = MeasuredGeneration(500, 500, 50, MODEL.t_prefill(500), 0.0, MODEL.t_decode(500, 50))
    slow = MeasuredGeneration(
        500, 500, 50, 2 * MODEL.t_prefill(500), 0.0, 2 * MODEL.t_decode(500, 50)
    )
    assert with_margins(MODEL, [exact] * count).delta == pytest.approx(0.25)
    assert count == 0 or with_margins(MODEL, [slow] * count).delta > 0.95


def test_how_unsure_a_time_is_comes_from_the_noise_and_not_from_the_margin():
    model = with_margins(MODEL, [])
    assert model.delta / model.bound_spreads == pytest.approx(PRIOR.common)
    assert model.step_spread == pytest.approx(PRIOR.step)


def test_quantile_is_an_order_statistic_where_there_are_enough():
    values = list(range(1, 200))
    assert upper_quantile(values, 0.99) == 198
    assert upper_quantile(values[:99], 0.99) == 99


@pytest.mark.parametrize('count', [20, 40])
def test_quantile_of_few_values_reaches_beyond_the_largest(count):
    rng = np.random.default_rng(count)
    found = [upper_quantile(list(rng.standard_normal(count)), 0.99) for _ in range(300)]
    assert np.mean([NormalDist().cdf(value) for value in found]) > 0.98


def test_a_burst_of_noise_cannot_make_the_margin_useless() -> None:
    noisy = [MeasuredGeneration(100, 100, 20, 30.0, 0.0, 60.0)] * 3
    model = with_margins(TimeModel(a=0, b=1e-3, c=0, p=0, q=1e-2), noisy)
    assert model.delta == pytest.approx(LARGEST_DELTA)
