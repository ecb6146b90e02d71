"""What is learned of a link, and how soon it is trusted."""

import math

from timebill_ros.core.link_model import Exchange, LinkModel, LinkState


def test_nothing_known_is_tried() -> None:
    link = LinkModel()
    assert link.state(0.0) is LinkState.OK
    assert link.probability(100, [10], 0.1) == 1.0


def test_more_time_is_never_less_likely() -> None:
    link = LinkModel()
    for step in range(10):
        link.answered(Exchange(100, 0.1 * step, 0.01))
    chances = [link.probability(100, [5, 50], 0.1 * left) for left in range(30)]
    assert chances == sorted(chances)
    assert chances[0] == 0.0
    assert chances[-1] == 1.0


def test_prompts_of_about_the_same_length_count() -> None:
    link = LinkModel()
    for _ in range(5):
        link.answered(Exchange(100, 0.1))
        link.answered(Exchange(10_000, 5.0))
    assert link.probability(120, [1], 1.0) == 1.0
    assert link.probability(9_000, [1], 1.0) == 0.0


def test_an_answer_that_never_came_lowers_the_probability() -> None:
    link = LinkModel()
    for _ in range(3):
        link.answered(Exchange(100, 1.0))
    link.not_answered(100, 1.5, now_s=0.0)
    assert link.probability(100, [1], 2.0) == 0.75
    assert link.state(0.0) is LinkState.OK  # it may have been about to come
    link.not_answered(100, 4.0, now_s=0.0)
    assert link.state(0.0) is LinkState.DOWN


def test_a_wait_that_was_short_tells_nothing() -> None:
    link = LinkModel()
    link.answered(Exchange(100, 1.0))
    for _ in range(5):
        link.not_answered(100, 0.5, now_s=0.0)
    assert link.probability(100, [1], 2.0) == 1.0


def test_distrust_doubles_and_trust_takes_three_answers() -> None:
    link, now_s = LinkModel(), 0.0
    for distrust_s in (1.0, 2.0, 4.0, 8.0):
        link.failed('it broke', now_s)
        link.failed('it broke', now_s)  # the same outage
        assert not link.may_be_asked(0, now_s + distrust_s - 0.01)
        now_s += distrust_s
        assert link.may_be_asked(0, now_s)
        assert not link.may_be_asked(1, now_s)
    for _ in range(2):
        link.answered(Exchange(100, 0.1))
        assert not link.may_be_asked(1, now_s)
    link.answered(Exchange(100, 0.1))
    assert link.may_be_asked(1, now_s)
    assert link.fault == ''
    link.failed('again', now_s)
    assert link.may_be_asked(0, now_s + 1.0)


def test_distrust_has_an_end() -> None:
    link, now_s = LinkModel(), 0.0
    for _ in range(50):
        link.failed('it broke', now_s)
        now_s += 60.0
    assert link.may_be_asked(0, now_s)


def test_the_rest_of_an_answer_is_predicted_from_its_tokens() -> None:
    link = LinkModel()
    assert link.rest_probability([10], 5, 100.0) == 0.0
    link.answered(Exchange(100, 3.0, 0.1))
    link.not_answered(100, 1.0, now_s=0.0)
    assert link.rest_probability([10, 20], 5, 0.6) == 0.5
    assert link.rest_probability([10], 50, 0.2) == 1.0
    assert math.isclose(link.predicted_s(100, [11]), 4.0)


def test_predicted_times_are_those_of_such_prompts() -> None:
    link = LinkModel()
    for _ in range(5):
        link.answered(Exchange(100, 0.5))
        link.answered(Exchange(10_000, 5.0))
    assert link.predicted_s(100, [1]) == 0.5
