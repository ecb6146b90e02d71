import numpy as np
import pytest

from benchmark.deadlines.memory import MemoryRun, summarise_memory
from benchmark.deadlines.short_queries import short_queries
from benchmark.report.slope import slope_with_interval
from support.benchmark_records import record, reply


def test_a_line_without_noise_has_its_slope_and_no_interval():
    x = list(range(20))
    slope, (low, high) = slope_with_interval(x, [3.0 + 2.0 * value for value in x])
    assert (slope, low, high) == pytest.approx((2.0, 2.0, 2.0))


def test_the_interval_holds_the_true_slope_most_times():
    draw, x = np.random.default_rng(1), np.arange(40.0)
    held = 0
    for _ in range(200):
        _, (low, high) = slope_with_interval(list(x), list(0.5 * x + draw.normal(size=40)))
        held += low <= 0.5 <= high
    assert 180 <= held <= 199


def test_too_few_samples_have_no_slope():
    with pytest.raises(ValueError, match='at least 7 samples, got 3'):
        slope_with_interval([1, 2, 3], [1, 2, 3])


def test_memory_is_fitted_after_the_warm_up_in_kb_per_1000_queries():
    samples = [(count, 90_000.0) for count in range(100, 1000, 100)]
    samples += [(count, 100_000.0 + 0.007 * count) for count in range(1000, 3000, 100)]
    found = summarise_memory(MemoryRun(samples), warm_up=1000)
    assert found['memory_slope_kb_per_1000'] == pytest.approx(7.0)


def test_open_queries_of_a_killed_planner_must_have_one_reply_too():
    run = MemoryRun([], [record(reply('KILLED', 1))], {'once': 1, 'never': 0, 'twice': 2})
    assert sorted(run.violations) == [[], [], ['duplicate'], ['missing']]


def test_short_queries_end_in_every_way_and_have_ids_of_their_own():
    asks = short_queries(1, 'a', 1000)
    assert asks == short_queries(1, 'a', 1000) != short_queries(2, 'a', 1000)
    assert len({ask.id for ask in asks}) == 1000
    assert {'answered', 'killed', 'infeasible', 'expired', 'invalid'} <= {a.group for a in asks}
