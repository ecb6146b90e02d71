"""How greedy answers are compared."""

from benchmark.engine.agreement import compare


def test_answers_that_part_are_counted_to_where_they_part():
    found = compare([[1, 2, 3], [4, 5], [6]], [[1, 2, 3], [4, 7], [6, 8]])
    assert found == {'prompts': 3, 'identical': 1, 'tokens': 2.0, 'common_tokens': 5 / 3}
