"""The node's parameters as rclpy knows them: declared, described, changed."""

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from timebill_ros.core.parameter_spec import ParameterSpec
from timebill_ros.node.settings import NodeSettings

_APPLIES = {
    'running': ' Applies at the next query.',
    'unconfigured': ' May change only while unconfigured; applies at the next configure.',
    'never': ' Fixed when the node starts.',
}
_REPLACED = {
    'eviction_window': 'eviction_scorer',
    'eviction_kernel': 'eviction_scorer',
    'eviction_pooling': 'eviction_scorer',
    'eviction_window_aggregation': 'eviction_scorer',
    'eviction_group_aggregation': 'eviction_scorer',
    'eviction_sinks': 'eviction_scorer',
}
"""What has taken the place of parameters of earlier versions."""


def declare(node: Node) -> NodeSettings:
    """Declare all parameters and return their values.

    Raises:
        ValueError: a value given at start is outside its bounds; a sentence.
    """
    settings = NodeSettings()
    for name, spec in settings.specs.items():
        given = _overrides(node).get(name)
        meant = None if given is None else _meant(given)
        if meant is given or meant is None:
            node.declare_parameter(name, spec.default, _descriptor(spec))
        else:
            node.declare_parameter(name, meant.value, _descriptor(spec), True)
    return settings.with_values({name: node.get_parameter(name).value for name in settings.specs})


def ignored(node: Node) -> list[str]:
    """Return a sentence for each value given at start that no parameter has; ROS says nothing."""
    return [
        f'{name!r} is no parameter of this node: it has no effect'
        + (f'; {_REPLACED[name]} has replaced it' if name in _REPLACED else '')
        for name in _overrides(node)
        if not node.has_parameter(name) and '.' not in name
    ]


def as_declared(parameters: list[Parameter]) -> list[Parameter]:
    """Return parameters with the types that they have here; see _meant()."""
    return [_meant(parameter) for parameter in parameters]


def changed(
    settings: NodeSettings, parameters: list[Parameter], is_unconfigured: bool
) -> NodeSettings:
    """Return the settings with some parameters changed.

    Raises:
        ValueError: a value is of another type or outside its bounds, or may not be changed now;
            nothing is changed.
    """
    specs, before = settings.specs, settings.values
    values = {
        parameter.name: parameter.value for parameter in parameters if parameter.name in specs
    }
    for name, value in values.items():
        kind, change = type(specs[name].default), specs[name].change
        if type(value) is not kind:
            raise ValueError(f'{name} must be a {kind.__name__}, got {value!r}')
        if value == before[name] or change == 'running':
            continue
        if change == 'never':
            raise ValueError(f'{name} is fixed when the node starts')
        if not is_unconfigured:
            raise ValueError(
                f'{name} may be changed only while the node is unconfigured: deactivate it and '
                f'clean it up first; {name} is then read when it is configured'
            )
    return settings.with_values(values)


def accepted() -> SetParametersResult:
    """Return the result of a change that is made."""
    return SetParametersResult(successful=True)


def refused(error: ValueError) -> SetParametersResult:
    """Return the result of a change that is not made."""
    return SetParametersResult(successful=False, reason=str(error))


def _overrides(node: Node) -> dict[str, Parameter]:
    """Return the values given at start; rclpy has no public name for them."""
    return getattr(node, '_parameter_overrides', {})


def _meant(parameter: Parameter) -> Parameter:
    """Return what is meant: a double by an integer, the text 'off' by what YAML reads as false."""
    spec, name = NodeSettings().specs.get(parameter.name), parameter.name
    if spec is None:
        return parameter
    if parameter.type_ == Parameter.Type.INTEGER and isinstance(spec.default, float):
        return Parameter(name, Parameter.Type.DOUBLE, float(parameter.value))
    if parameter.type_ == Parameter.Type.BOOL and not parameter.value and 'off' in spec.choices:
        return Parameter(name, Parameter.Type.STRING, 'off')
    return parameter


def _descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Describe a parameter for `ros2 param describe` and rqt.

    A range is told in the description as well as by rclpy's means; rclpy's own refusal would not
    name the bound.
    """
    unit = f' [{spec.unit}]' if spec.unit else ''
    choices = f'One of {", ".join(spec.choices)}.' if spec.choices else ''
    descriptor = ParameterDescriptor(
        name=spec.name,
        description=f'{spec.description}{unit} {choices}'.strip() + _APPLIES[spec.change],
        read_only=spec.change == 'never',
        additional_constraints=choices,
    )
    if spec.bounds is not None and isinstance(spec.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=spec.bounds[0], to_value=spec.bounds[1])
        ]
    elif spec.bounds is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(spec.bounds[0]), to_value=int(spec.bounds[1]), step=1)
        ]
    return descriptor
