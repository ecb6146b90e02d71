"""A worth that is fitted to answers is the one that made them."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.budgets.measured_worth import (
    Branch,
    fitted,
    held_out,
    squared_error,
    without_each_task,
)
from timebill_ros.core.answer_worth import PRIOR, AnswerWorth

TRUE = replace(
    PRIOR,
    worths=(1.0, 0.95, 0.6, 0.3, 0.05, 0.0),
    stretches=(1.0, 1.1, 1.2, 1.4, 1.6, 1.4),
    spreads=(0.0, 0.1, 0.2, 0.3, 0.6, 0.5),
    few_tokens=0.5,
    left_power=2.0,
)


def made(worth: AnswerWorth, task: str, count: int, seed: int) -> list[Branch]:
    """Return answers whose scores are those of a worth, with noise."""
    random = np.random.default_rng(seed)
    branches = []
    for _ in range(count):
        prompt, whole = int(random.integers(512, 2048)), int(random.integers(30, 120))
        score = random.random()
        for evict_at in (0, whole // 3, whole // 2):
            for alpha in (0.25, 0.5, 0.75, 0.95):
                kept = int((1.0 - alpha) * prompt)
                share = worth.worth(
                    np.array(float(prompt)), np.array(float(kept)), np.array(1 - evict_at / whole)
                )
                factor = np.exp(random.normal(0.0, worth.spread(np.array(alpha))))
                longer = float(worth.stretch(np.array(alpha))) * factor
                branches.append(
                    Branch(
                        task,
                        prompt,
                        kept,
                        alpha,
                        evict_at,
                        evict_at + max(1, round((whole - evict_at) * longer)),
                        float(score * share + random.normal(0.0, 0.05)),
                        whole,
                        score,
                        10**6,
                    )
                )
    return branches


def test_enough_answers_tell_the_worth_that_made_them() -> None:
    found = fitted(made(TRUE, 'a', 150, 0))
    assert found.worths == pytest.approx(TRUE.worths, abs=0.05)
    assert (found.few_tokens, found.left_power) == (0.5, 2.0)
    assert found.stretches[1:5] == pytest.approx(TRUE.stretches[1:5], rel=0.15)
    assert found.spreads[1:5] == pytest.approx(TRUE.spreads[1:5], abs=0.06)


def test_few_answers_stay_at_the_prior_and_worths_never_rise() -> None:
    few = [one for one in made(TRUE, 'a', 1, 1) if one.evict_at == 0 and one.alpha != 0.5]
    found = fitted(few)
    assert found.worths[2] == pytest.approx(min(found.worths[1], PRIOR.worths[2]))
    assert abs(found.worths[3] - PRIOR.worths[3]) < abs(TRUE.worths[3] - PRIOR.worths[3]) / 2
    rising = [replace(one, score=one.whole_score * one.alpha) for one in made(TRUE, 'a', 30, 2)]
    assert list(fitted(rising).worths) == sorted(fitted(rising).worths, reverse=True)


def test_a_task_is_judged_by_what_the_others_tell() -> None:
    harsh, mild = made(TRUE, 'harsh', 60, 3), made(PRIOR, 'mild', 60, 4)
    worths = without_each_task([*harsh, *mild])
    assert worths['mild'] == fitted(harsh)
    assert worths['harsh'] == fitted(mild)
    report = held_out(harsh, worths)
    assert report['0.75']['predicted'] > report['0.75']['measured'] + 0.03
    assert report['0.75']['n'] == 180
    own = {'harsh': fitted(harsh)}
    assert squared_error(harsh, own) < squared_error(harsh, worths)


def test_answers_that_were_cut_off_do_not_tell_lengths() -> None:
    ended = made(TRUE, 'a', 50, 5)
    cut = [
        replace(one, tokens=one.whole_tokens, longest=one.whole_tokens)
        for one in made(TRUE, 'a', 50, 6)
    ]
    assert fitted([*ended, *cut]).stretches == fitted(ended).stretches
