"""The table of parameters: bounds, choices, and what rclpy makes of it."""

import dataclasses
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from planner import next_domain
from timebill_ros.node import parameters, settings
from timebill_ros.node.settings import NodeSettings


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=next_domain())
    node = Node('holder', context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_defaults_are_within_their_bounds() -> None:
    settings.check(NodeSettings())


@pytest.mark.parametrize('field', dataclasses.fields(NodeSettings), ids=lambda field: field.name)
def test_every_parameter_says_what_it_is(field: 'dataclasses.Field[object]') -> None:
    spec = settings.spec_of(field.name)
    assert spec.description.endswith('.')
    if isinstance(field.default, int | float) and not isinstance(field.default, bool):
        assert spec.bounds is not None
        with pytest.raises(ValueError, match=f'{field.name} must be in'):
            settings.check(dataclasses.replace(NodeSettings(), **{field.name: -1}))


def test_a_set_is_taken_whole_or_not_at_all() -> None:
    before = NodeSettings()
    both = [Parameter('chunk_rate', value=5.0), Parameter('publish_reserve', value=99.0)]
    with pytest.raises(ValueError, match=r'publish_reserve must be in \[0.0, 10.0\] s, got 99.0'):
        parameters.changed(before, both)
    assert parameters.changed(before, both[:1]).chunk_rate == 5.0


def test_the_default_budget_may_not_exceed_the_largest() -> None:
    with pytest.raises(ValueError, match='default_time_budget must be at most max_time_budget'):
        parameters.changed(NodeSettings(), [Parameter('max_time_budget', value=5.0)])


def test_other_types_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match='chunk_rate must be a float, got 5'):
        parameters.changed(NodeSettings(), [Parameter('chunk_rate', value=5)])


def test_declared_parameters_have_descriptions_units_and_ranges(node: Node) -> None:
    assert parameters.declare(node) == NodeSettings()
    descriptor = node.describe_parameter('publish_reserve')
    assert descriptor.description.endswith('[s]')
    assert descriptor.floating_point_range[0].to_value == 10.0
    assert node.describe_parameter('model').read_only
    assert not node.describe_parameter('chunk_rate').read_only


def test_load_time_parameters_are_read_only(node: Node) -> None:
    parameters.declare(node)
    (result,) = node.set_parameters([Parameter('model', value='other')])
    assert not result.successful
    assert node.get_parameter('model').value == NodeSettings().model
