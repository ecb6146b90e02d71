"""Plans are worth the goals that they meet in the simulator; what is no plan is worth nothing."""

import json

import pytest

from benchmark.budgets.tasks.household_simulator import (
    HouseholdSimulator,
    is_installed,
    parsed,
)

WATCH_TV = '342_2'
"""Goals: the television is on, it is plugged in (as it is), one faces it, and looks at it."""
needs_simulator = pytest.mark.skipif(
    not is_installed(), reason='needs virtualhome-eval (requirements-bench.txt)'
)


@pytest.mark.parametrize(
    ('answer', 'plan'),
    [
        ('{"WALK": ["bed"], "LIE": ["bed"]}', {'WALK': ['bed'], 'LIE': ['bed']}),
        ("Here you are:\n```json\n{'walk': ['bed']}\n```", {'WALK': ['bed']}),
        ('{"WALK": ["bed"], "LI', {}),
        ('{"WALK": "bed"}', {}),
        ('{"WALK": [7]}', {}),
        ('["WALK"]', {}),
        ('}{', {}),
        ('', {}),
    ],
)
def test_only_whole_json_of_lists_of_names_is_a_plan(
    answer: str, plan: dict[str, list[str]]
) -> None:
    assert parsed(answer) == plan


@needs_simulator
@pytest.mark.parametrize(
    ('steps', 'met'),
    [
        ('WALK SWITCHON TURNTO WATCH', 1.0),
        ('WALK SWITCHON TURNTO', 0.75),
        ('WALK', 0.25),
        # The third step cannot be done, so the plan ends there.
        ('WALK TURNTO EAT SWITCHON WATCH', 0.5),
        # An action that the grader knows, and its simulator does not.
        ('WALK SWITCHON LOOKAT_SHORT TURNTO', 0.5),
        ('EAT', 0.0),
        ('WALK SWITCHON DANCE', 0.0),
    ],
)
def test_a_plan_is_worth_the_goals_that_it_meets(steps: str, met: float) -> None:
    plan = {step: ['television'] for step in steps.split()}
    assert HouseholdSimulator().goals_met(WATCH_TV, json.dumps(plan)) == met


@needs_simulator
@pytest.mark.parametrize(
    'plan', [{'WALK': ['moon']}, {'WALK': []}, {'SWITCHON': ['television'] * 2}]
)
def test_wrong_objects_are_worth_nothing(plan: dict[str, list[str]]) -> None:
    assert HouseholdSimulator().goals_met(WATCH_TV, json.dumps(plan)) == 0.0


@needs_simulator
def test_goals_that_the_own_plan_misses_cannot_be_met() -> None:
    simulator = HouseholdSimulator()
    assert simulator.can_be_met(WATCH_TV)
    assert not simulator.can_be_met('27_2')
