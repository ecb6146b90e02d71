"""The benchmark that asks running nodes: what it asks, and what it reports."""

from benchmark.budgets.live import summary, table
from benchmark.budgets.live_askers import ARMS, CLOSED, Given, asker_of, parts
from benchmark.budgets.tasks.task import Item


def item(prompt: str) -> Item:
    return Item('codes', prompt, 8, lambda text: 0.0)


def test_the_question_is_the_last_line_and_all_before_is_the_context() -> None:
    context, question = parts(item('One.\n- a\n- b\nList all codes.'))
    assert (context, question) == ('One.\n- a\n- b', 'List all codes.')


def test_lengths_of_one_budget_are_not_known_within_another() -> None:
    assert asker_of('codes', 0.4) != asker_of('codes', 0.6) != asker_of('names', 0.6)


def test_arms_are_compared_with_the_closed_loop_item_by_item() -> None:
    found = {(arm, 1.0): [Given(0.2, 1.0, 0.9, 0.0), Given(0.0, 0.0, 1.1, 0.5)] for arm in ARMS}
    found[CLOSED, 1.0] = [Given(0.5, 1.0, 0.8, 0.5), Given(0.3, 1.0, 0.9, 0.5)]
    figures = summary(found, 'vanilla', 1.0)
    assert (figures['score'], figures['completion'], figures['n']) == (0.1, 0.5, 2)
    assert figures['eviction_ratio'] == 0.25
    assert abs(figures['less_closed_loop']['mean'] + 0.3) < 1e-9
    assert summary(found, CLOSED, 1.0)['less_closed_loop']['interval'] == [0.0, 0.0]
    report = {'n': 2, 'budgets': {'1': {arm: summary(found, arm, 1.0) for arm in ARMS}}}
    assert '0.400 100 %' in table(report)
