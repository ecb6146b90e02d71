"""What a step over several tokens costs, by a clock that is told."""

import pytest

from support.tiny_models import tiny_model
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.step_costs import ROUNDS, step_costs


def measured(*seconds, lengths=(64,)):
    """Return the costs if steps over 1, 2, 3 and 4 tokens take so long, but at first much more."""
    model = tiny_model('llama')
    times_s = [s * (50 if index < 3 else 1) for index in range(ROUNDS) for s in seconds]
    times_s *= len(lengths)
    moments = iter([moment for at_s in times_s for moment in (0.0, at_s)])
    return step_costs(NativeStep(model, {}, 1), model, lambda: next(moments), lengths)


def test_costs_are_the_shortest_times_in_single_steps():
    assert measured(0.5, 0.625, 0.75, 1.0) == (1.0, 1.25, 1.5, 2.0)


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [((2, 1, 1, 3), (1, 1, 1, 1.5)), ((1, 5, 9, 3.5), (1, 2, 3, 3.5))],
)
def test_more_tokens_cost_no_less_and_never_more_than_single_steps(seconds, expected):
    assert measured(*seconds) == expected
