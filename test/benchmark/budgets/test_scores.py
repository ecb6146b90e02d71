"""Graders, on answers whose grade is plain."""

import pytest

from benchmark.budgets.tasks import robot_plans
from benchmark.budgets.tasks.code_completion import first_line_like
from benchmark.budgets.tasks.scores import (
    action_f1,
    edit_similarity,
    rouge_l,
    share_found,
    token_f1,
)


def test_a_reference_is_worth_everything_and_nothing_is_worth_nothing() -> None:
    text = 'the red robot waits'
    assert rouge_l(text, text) == token_f1([text], text) == edit_similarity(text, text) == 1.0
    assert rouge_l(text, '') == token_f1([text], '') == edit_similarity(text, '') == 0.0
    assert share_found(['12345'], '') == action_f1([('WALK',)], []) == 0.0


def test_token_f1_knows_no_case_articles_or_punctuation_and_takes_the_best_reference() -> None:
    assert token_f1(['Rome', 'The Eternal City'], 'Eternal city!') == 1.0
    assert token_f1(['Rome'], 'Rome in Italy') == pytest.approx(0.5)


def test_a_value_counts_only_as_a_whole() -> None:
    assert share_found(['12345', '678'], '12345, 6789') == 0.5
    assert share_found(['Waypoint 1: x = 0.5, y = 3.1'], 'waypoint 1: X = 0.5, y = 3.1\n') == 1.0
    assert share_found(['x = 0.5'], 'x = 0.51') == 0.0


def test_an_action_counts_as_often_as_it_is_planned() -> None:
    walk, grab = ('WALK', 'cup'), ('GRAB', 'cup')
    assert action_f1([walk, grab, walk], [walk, grab]) == pytest.approx(0.8)


def test_only_the_first_line_of_code_is_graded() -> None:
    assert first_line_like('    return x', '```python\nreturn x\nprint(1)\n```') == 1.0
    assert first_line_like('return x', '```python\n') == 0.0


def test_a_plan_is_graded_also_when_it_is_cut_off() -> None:
    expected = robot_plans.planned(
        'title\n\n[WALK] <home_office> (319)\n[SWITCHON] <lamp> (2.1)\n[PUTIN] <cup> (1) <box> (2)'
    )
    assert expected == [('WALK', 'home_office'), ('SWITCHON', 'lamp'), ('PUTIN', 'cup', 'box')]
    whole = '{"WALK": ["home_office"], "SWITCHON": ["lamp"], "PUTIN": ["cup", "box"]}'
    assert robot_plans.graded(expected, whole) == 1.0
    assert robot_plans.graded(expected, whole[:40]) == pytest.approx(0.4)
