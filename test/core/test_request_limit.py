"""How many requests are allowed within any hour."""

import pytest

from timebill_ros.core.request_limit import RequestLimit


def test_any_hour_has_at_most_so_many() -> None:
    limit, sent_at_s = RequestLimit(3), []
    for now_s in range(0, 20_000, 100):
        if limit.wait_s(now_s) == 0.0:
            limit.sent(now_s)
            sent_at_s.append(now_s)
    assert sent_at_s[:4] == [0, 100, 200, 3600]
    for first in sent_at_s:
        assert sum(first <= at < first + 3600 for at in sent_at_s) <= 3


def test_the_wait_is_over_when_the_oldest_is_an_hour_ago() -> None:
    limit = RequestLimit(2)
    for now_s in (10.0, 20.0):
        limit.sent(now_s)
    assert limit.wait_s(30.0) == 3580.0
    assert limit.share(30.0) == 1.0
    assert limit.wait_s(3609.9) == pytest.approx(0.1)
    assert limit.wait_s(3610.0) == 0.0
    assert limit.count(3610.0) == 1


def test_more_than_the_limit_wait_longer() -> None:
    limit = RequestLimit(2)
    for now_s in (0.0, 10.0, 20.0):
        limit.sent(now_s)
    assert limit.wait_s(3600.0) == 10.0


def test_zero_is_no_limit() -> None:
    limit = RequestLimit(0)
    for _ in range(1000):
        limit.sent(0.0)
    assert limit.wait_s(0.0) == limit.share(0.0) == 0.0
    assert limit.count(0.0) == 1000
