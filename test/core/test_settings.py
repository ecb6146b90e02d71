"""Declared once as a field of a dataclass; found by name, changed and checked in any depth."""

from dataclasses import dataclass, field

import pytest

from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings


@dataclass(frozen=True)
class Inner(Settings):
    wait_s: float = parameter(1.0, 'Wait.', name='wait', unit='s', bounds=(0.0, 2.0))
    colour: str = parameter('red', 'Colour.', choices=('red', 'blue'))
    learned: int = 3  # no parameter


@dataclass(frozen=True)
class Outer(Settings):
    count: int = parameter(2, 'Count.', bounds=(1, 9), change='never')
    inner: Inner = field(default_factory=Inner)


def test_parameters_are_found_by_their_own_names_in_order() -> None:
    assert list(Outer().specs) == ['count', 'wait', 'colour']
    spec = Outer().specs['wait']
    assert (spec.name, spec.default, spec.unit, spec.change) == ('wait', 1.0, 's', 'running')
    assert Outer(inner=Inner(wait_s=0.5)).values == {'count': 2, 'wait': 0.5, 'colour': 'red'}


def test_values_change_in_a_copy_wherever_they_are() -> None:
    before = Outer(inner=Inner(learned=7))
    after = before.with_values({'count': 4, 'wait': 0.0, 'unknown': 1})
    assert after == Outer(4, Inner(wait_s=0.0, learned=7))
    assert before == Outer(inner=Inner(learned=7))


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [
        ({'wait': 3.0}, r'^wait must be in \[0.0, 2.0\] s, got 3.0$'),
        ({'count': 0}, r'^count must be in \[1, 9\], got 0$'),
        ({'colour': 'green'}, "^colour must be one of red, blue, got 'green'$"),
    ],
)
def test_what_is_out_of_bounds_cannot_be_made(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Outer().with_values(values)  # type: ignore[arg-type]


def test_a_settings_object_made_by_hand_is_checked_too() -> None:
    with pytest.raises(ValueError, match='wait must be in'):
        Inner(wait_s=-1.0)
