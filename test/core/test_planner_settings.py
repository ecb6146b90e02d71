import math

import pytest

from timebill_ros.core.planner_settings import PlannerSettings


@pytest.mark.parametrize(
    ('name', 'value', 'sentence'),
    [
        ('pessimistic_factor', 0.9, r'pessimistic_factor must be >= 1, got 0\.9'),
        ('pessimistic_factor', math.nan, r'pessimistic_factor must be >= 1, got nan'),
        ('max_eviction_ratio', 1.0, r'max_eviction_ratio must be in \[0, 1\), got 1\.0'),
        ('fixed_eviction_ratio', -0.1, r'fixed_eviction_ratio must be in \[0, 1\), got -0\.1'),
        ('min_kept_tokens', 0, r'min_kept_tokens must be >= 1, got 0'),
        ('eviction_policy', 'some', r"eviction_policy must be one of \(.*\), got 'some'"),
    ],
)
def test_a_bad_setting_is_refused_by_name_value_and_bound(name, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        PlannerSettings(**{name: value})
