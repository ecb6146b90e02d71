import math

import numpy as np
import pytest

from timebill_ros.core.answer_noise import AnswerNoise, Residual

PRIOR = AnswerNoise(common=0.08, step=0.25)


def learned(residuals, prior=PRIOR):
    noise = prior
    for _ in range(8):
        noise = noise.learned(prior, residuals)
    return noise


def seen(noise, lengths, seed=0, share=1.0):
    """Return the residuals of answers with normal noise, of these numbers of steps."""
    rng = np.random.default_rng(seed)
    return [
        Residual(noise.spread(share, steps) * float(rng.standard_normal()), share, steps)
        for steps in lengths
    ]


def test_the_noise_of_steps_averages_out_and_that_of_the_answer_does_not():
    noise = AnswerNoise(0.3, 1.2)
    assert noise.spread(1.0, 9) == pytest.approx(0.5)
    assert noise.spread(1.0, 10**8) == pytest.approx(0.3)
    assert noise.spread(0.0, 9) == noise.spread(0.0, 0) == 0.3
    assert noise.spread(0.5, 9) == pytest.approx(0.4)
    found = noise.scores([Residual(1.0, 1.0, 9), Residual(0.8, 0.5, 9), Residual(-0.3, 0.0, 0)])
    assert found == pytest.approx([2.0, 2.0, -1.0])
    assert noise.scores([]) == []


def test_before_the_first_residual_the_prior_stands():
    found = learned([])
    assert (found.common, found.step) == pytest.approx((0.08, 0.25))


@pytest.mark.parametrize('true', [AnswerNoise(0.05, 0.5), AnswerNoise(0.15, 0.1), PRIOR])
def test_answers_of_different_lengths_tell_both_parts(true):
    lengths = [4, 8, 16, 32, 64, 128] * 100
    found = [learned(seen(true, lengths, seed)) for seed in range(10)]
    assert np.mean([one.common for one in found]) == pytest.approx(true.common, rel=0.25)
    assert np.mean([one.step for one in found]) == pytest.approx(true.step, rel=0.1, abs=0.12)


def test_of_answers_that_are_all_alike_the_sum_is_right():
    true = AnswerNoise(0.16, 0.5)
    found = [learned(seen(true, [16] * 200, seed)).spread(1.0, 16) for seed in range(10)]
    assert np.mean(found) == pytest.approx(true.spread(1.0, 16), rel=0.15)


def test_long_prompts_tell_the_common_part():
    found = learned(seen(AnswerNoise(0.2, 0.25), [8] * 200, share=0.05))
    assert found.common == pytest.approx(0.2, rel=0.15)


def test_few_residuals_move_it_little_and_one_outlier_hardly():
    calm = learned([Residual(0.0, 1.0, 30)] * 5)
    assert 0.06 < calm.common < 0.08
    once = learned([Residual(50.0, 1.0, 30)])
    assert once.common < 1.2 * PRIOR.common and once.step < 1.2 * PRIOR.step


def test_it_never_becomes_zero_or_less():
    exact = PRIOR
    for _ in range(9):
        exact = learned([Residual(0.0, 1.0, 16)] * 400, exact)
    assert (exact.common, exact.step) == (0.01, 0.02)
    rising = [Residual(0.5 if steps > 50 else 0.0, 1.0, steps) for steps in range(2, 100)]
    assert math.isfinite(learned(rising).step)
