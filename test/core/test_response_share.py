from timebill_ros.core.response_share import ANSWERS, ResponseShare


def test_the_shortest_response_is_expected_while_nothing_is_known() -> None:
    assert ResponseShare().expected_tokens(256) == 1


def test_the_mean_share_of_the_last_answers_is_expected() -> None:
    share = ResponseShare()
    share.observe(200, 200)
    for _ in range(ANSWERS // 2):
        share.observe(10, 100)
        share.observe(30, 100)
    assert share.expected_tokens(1000) == 200
    assert share.expected_tokens(1) == 1
