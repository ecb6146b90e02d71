"""Lists of CPUs as the kernel writes them."""

import pytest

from timebill_ros.core.cpu_list import cpus_of, online_cpus
from timebill_ros.core.model_settings import ModelSettings

FIRST = min(online_cpus())
MISSING = max(online_cpus()) + 1


@pytest.mark.parametrize(
    ('text', 'cpus'),
    [('', set()), (' ', set()), ('0', {0}), ('2,3', {2, 3}), ('0, 4-6', {0, 4, 5, 6})],
)
def test_a_list_is_numbers_and_ranges(text: str, cpus: set[int]) -> None:
    assert cpus_of(text) == cpus


@pytest.mark.parametrize('text', ['a', '1,', '-1', '1-', '3-2', '1;2', '0x1', '1 2', '99999'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r'list of CPUs such as|runs backwards'):
        cpus_of(text)


def test_the_parameter_names_cpus_of_this_machine() -> None:
    assert ModelSettings().cpus == frozenset()
    assert ModelSettings(cpu_affinity=str(FIRST)).cpus == {FIRST}
    with pytest.raises(ValueError, match=f'cpu_affinity names CPU {MISSING}, which this machine'):
        ModelSettings(cpu_affinity=f'{FIRST},{MISSING}')
    with pytest.raises(ValueError, match="cpu_affinity is 'all': it must be a list of CPUs"):
        ModelSettings(cpu_affinity='all')
