"""The node's parameters as rclpy knows them: declared, described, changed."""

import dataclasses
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from timebill_ros.node.parameter_spec import ParameterSpec
from timebill_ros.node.settings import NodeSettings, check, spec_of

_APPLIES = {
    'running': ' Applies at the next query.',
    'unconfigured': ' May change only while unconfigured; applies at the next configure.',
    'never': ' Fixed when the node starts.',
}


def declare(node: Node) -> NodeSettings:
    """Declare all parameters and return their values.

    Raises:
        ValueError: a value given at start is outside its bounds; a sentence.
    """
    for field in dataclasses.fields(NodeSettings):
        node.declare_parameter(field.name, field.default, _descriptor(field))
    settings = NodeSettings(
        **{
            field.name: node.get_parameter(field.name).value
            for field in dataclasses.fields(NodeSettings)
        }
    )
    check(settings)
    return settings


def misspelled(node: Node) -> list[str]:
    """Return the names of values given at start that no parameter has; ROS ignores them."""
    given = getattr(node, '_parameter_overrides', {})  # rclpy has no public name for it
    return [name for name in given if not node.has_parameter(name) and '.' not in name]


def changed(
    settings: NodeSettings, parameters: list[Parameter], is_unconfigured: bool
) -> NodeSettings:
    """Return the settings with some parameters changed.

    Raises:
        ValueError: a value is of another type or outside its bounds, or may not be changed now;
            nothing is changed.
    """
    names = {field.name for field in dataclasses.fields(NodeSettings)}
    values = {
        parameter.name: parameter.value for parameter in parameters if parameter.name in names
    }
    for name, value in values.items():
        if type(value) is not type(getattr(settings, name)):
            raise ValueError(
                f'{name} must be a {type(getattr(settings, name)).__name__}, got {value!r}'
            )
        if value == getattr(settings, name) or spec_of(name).change == 'running':
            continue
        if spec_of(name).change == 'never':
            raise ValueError(f'{name} is fixed when the node starts')
        if not is_unconfigured:
            raise ValueError(
                f'{name} may be changed only while the node is unconfigured: deactivate it and '
                f'clean it up first; {name} is then read when it is configured'
            )
    result = dataclasses.replace(settings, **values)
    check(result)
    return result


def accepted() -> SetParametersResult:
    """Return the result of a change that is made."""
    return SetParametersResult(successful=True)


def refused(error: ValueError) -> SetParametersResult:
    """Return the result of a change that is not made."""
    return SetParametersResult(successful=False, reason=str(error))


def _descriptor(field: 'dataclasses.Field[Any]') -> ParameterDescriptor:
    """Describe a parameter for `ros2 param describe` and rqt.

    A range is told in the description as well as by rclpy's means; rclpy's own refusal would not
    name the bound.
    """
    spec: ParameterSpec = field.metadata['spec']
    unit = f' [{spec.unit}]' if spec.unit else ''
    descriptor = ParameterDescriptor(
        name=field.name,
        description=spec.description + unit + _APPLIES[spec.change],
        read_only=spec.change == 'never',
        additional_constraints=f'one of {", ".join(spec.choices)}' if spec.choices else '',
    )
    if spec.bounds is not None and isinstance(field.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=spec.bounds[0], to_value=spec.bounds[1])
        ]
    elif spec.bounds is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(spec.bounds[0]), to_value=int(spec.bounds[1]), step=1)
        ]
    return descriptor
