from timebill_ros.dispatch.response_lengths import ANSWERS, ResponseLengths


def test_the_shortest_response_is_expected_while_nothing_is_known() -> None:
    assert ResponseLengths().expected_tokens(256) == 1


def test_the_median_of_the_last_answers_is_expected_but_no_more_than_may_be() -> None:
    lengths = ResponseLengths()
    for _ in range(ANSWERS):
        lengths.observe(1000)
    for tokens in range(ANSWERS):
        lengths.observe(tokens)
    assert lengths.expected_tokens(256) == 24
    assert lengths.expected_tokens(5) == 5
