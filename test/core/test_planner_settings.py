import math

import pytest

from timebill_ros.core.planner_settings import PlannerSettings


@pytest.mark.parametrize(
    ('name', 'value', 'sentence'),
    [
        ('pessimistic_factor', 0.9, r'pessimistic_factor must be in \[1.0, 100.0\], got 0\.9'),
        ('pessimistic_factor', math.nan, r'pessimistic_factor must be in .*, got nan'),
        ('max_eviction_ratio', 1.0, r'max_eviction_ratio must be in \[0.0, 0.99\], got 1\.0'),
        ('fixed_eviction_ratio', -0.1, r'fixed_eviction_ratio must be in .*, got -0\.1'),
        ('eviction_policy', 'some', r"eviction_policy must be one of timebill, .*, got 'some'"),
    ],
)
def test_a_bad_setting_is_refused_by_name_value_and_bound(name, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        PlannerSettings(**{name: value})
