"""What there is to know of one parameter of the node: its declaration."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Change = Literal['running', 'unconfigured', 'never']
ParameterValue = bool | int | float | str


@dataclass(frozen=True)
class ParameterSpec:
    """The declaration of a parameter.

    Arguments:
        name: as ROS knows it.
        default: its type is the parameter's type.
        description: for `ros2 param describe` and docs/parameters.md, with the special values.
        unit: '' if there is none.
        bounds: smallest and largest value, both allowed; None: any.
        choices: the values that a string may have; empty: any.
        change: when a new value may be set. 'running': at any time, it applies at the next query.
            'unconfigured': it applies at the next configure. 'never': only at the node's start.
    """

    name: str
    default: ParameterValue
    description: str
    unit: str = ''
    bounds: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    change: Change = 'running'

    def check(self, value: ParameterValue) -> None:
        """Hold a value against the bounds and the choices.

        Raises:
            ValueError: names the parameter, its value and the bound.
        """
        if self.choices and value not in self.choices:
            raise ValueError(
                f'{self.name} must be one of {", ".join(self.choices)}, got {value!r}'
            )
        if self.bounds is None or isinstance(value, str):
            return
        least, most = self.bounds
        if not least <= value <= most:
            unit = f' {self.unit}' if self.unit else ''
            raise ValueError(f'{self.name} must be in [{least}, {most}]{unit}, got {value}')


def parameter(
    default: ParameterValue,
    description: str,
    *,
    name: str = '',
    unit: str = '',
    bounds: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    change: Change = 'running',
) -> Any:
    """Return a field of a Settings class that declares a parameter.

    Arguments:
        name: of the parameter, if the field is named otherwise: with its unit, as names in Python
            are.
        default, description, unit, bounds, choices, change: see ParameterSpec.
    """
    spec = ParameterSpec(name, default, description, unit, bounds, choices, change)
    return dataclasses.field(default=default, metadata={'parameter': spec})
