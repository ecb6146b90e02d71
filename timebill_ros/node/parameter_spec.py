"""What there is to know of one parameter."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Change = Literal['running', 'unconfigured', 'never']


@dataclass(frozen=True)
class ParameterSpec:
    """What is known of a parameter besides its name, type and default.

    Arguments:
        description: with special values.
        unit: '' where there is none.
        bounds: smallest and largest value, both allowed; None: any.
        choices: the values that a string may have; empty: any.
        change: when a new value may be set: 'running', and it holds from the next query on;
            'unconfigured', and it holds from the next configure on; 'never': as at start.
    """

    description: str
    unit: str = ''
    bounds: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    change: Change = 'running'


def parameter(default: Any, description: str, **spec: Any) -> Any:
    """Return a dataclass field with a default, and its ParameterSpec as metadata."""
    return dataclasses.field(
        default=default, metadata={'spec': ParameterSpec(description, **spec)}
    )
