"""How greedy answers are compared."""

from benchmark.engine.agreement import compare, ended


def test_answers_that_part_are_counted_to_where_they_part():
    found = compare([[1, 2, 3], [4, 5], [6]], [[1, 2, 3], [4, 7], [6, 8]])
    assert found == {'n': 3, 'identical': 1, 'tokens': 2.0, 'common_tokens': 5 / 3}


def test_what_follows_a_stop_token_is_no_part_of_an_answer():
    assert ended([5, 2, 7, 2], {2}) == [5, 2]
    assert ended([5, 7], {2}) == [5, 7]
