"""What the node would have planned with while a recording was made."""

import dataclasses

import pytest

from benchmark.budgets.followed_models import followed_models
from support.recorded_answers import STEP_S, answer
from timebill_ros.core.running_factor import WINDOW
from timebill_ros.core.time_model import TimeModel

FITTED = TimeModel(a=0, b=0.001, c=0, p=0, q=STEP_S, delta=0.1)
"""A prefill of 1 s, as the recorded answers have it; 0.1 s a step."""


def answers(factor: float, count: int) -> list:  # type: ignore[type-arg]
    """Return answers of ten steps on a machine that takes so many times as long."""
    return [
        dataclasses.replace(
            answer(0.0, '', item=f'item {number}', prefill_s=factor, tokens=11),
            times_s=tuple(factor * STEP_S * step for step in range(11)),
        )
        for number in range(count)
    ]


def test_the_first_item_is_planned_as_profiled() -> None:
    models = followed_models(answers(1.5, 3), FITTED)
    assert models['item 0'] == FITTED


def test_a_slower_machine_is_followed_once_most_of_the_window_is_slower() -> None:
    models = followed_models(answers(1.5, 2 * WINDOW), FITTED)
    assert models[f'item {WINDOW // 2}'].q == pytest.approx(STEP_S)
    assert models[f'item {2 * WINDOW - 1}'].q == pytest.approx(1.5 * STEP_S)
    assert models['item 3'].delta > FITTED.delta  # misses widen the margin at once


def test_an_item_is_one_query_however_many_answers_it_has() -> None:
    once = answers(1.5, 2 * WINDOW)
    again = [
        dataclasses.replace(one, alpha=alpha) for one in once for alpha in (0.0, 0.25, 0.5, 0.75)
    ]
    assert followed_models(again, FITTED) == followed_models(once, FITTED)
