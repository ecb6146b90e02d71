"""How often queries ended in the last minute."""

import pytest

from timebill_ros.dispatch.outcome_rates import OutcomeRates


class FakeClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_rate_is_over_the_last_minute() -> None:
    clock = FakeClock()
    rates = OutcomeRates(clock)
    clock.now_s += 600.0
    for _ in range(30):
        rates.count('answered')
    clock.now_s += 30.0
    rates.count('answered')
    rates.count('missed_killed')
    assert rates.rates() == pytest.approx({'answered': 31 / 60, 'missed_killed': 1 / 60})
    clock.now_s += 40.0
    assert rates.rates() == pytest.approx({'answered': 1 / 60, 'missed_killed': 1 / 60})
    clock.now_s += 30.0
    assert rates.rates() == {}


def test_in_the_first_minute_a_rate_is_over_the_time_since_the_start() -> None:
    clock = FakeClock()
    rates = OutcomeRates(clock)
    rates.count('answered')
    assert rates.rates() == {'answered': 1.0}
    clock.now_s += 10.0
    assert rates.rates() == {'answered': 0.1}


def test_a_flood_is_kept_as_a_count_a_second() -> None:
    clock = FakeClock()
    rates = OutcomeRates(clock)
    for _ in range(200):
        for _ in range(100):
            rates.count('missed_queue_full')
        clock.now_s += 1.0
    assert len(rates._seconds) <= 62
    assert rates.rates()['missed_queue_full'] == pytest.approx(100.0, rel=0.05)
