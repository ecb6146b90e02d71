"""Settings of a concern: the fields of a dataclass are the node's parameters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from timebill_ros.core.parameter_spec import ParameterSpec, ParameterValue

_S = TypeVar('_S', bound='Settings')


@dataclass(frozen=True)
class Settings:
    """What an operator chooses, checked when it is made.

    A subclass is a frozen dataclass. Each field is a parameter, declared by parameter(); or
    Settings in their turn; or neither, and then no concern of this class.

    Raises:
        ValueError: names the parameter, its value and its bound.
    """

    def __post_init__(self) -> None:
        for field, spec in _declared(type(self)).items():
            spec.check(getattr(self, field))

    @property
    def specs(self) -> dict[str, ParameterSpec]:
        """All parameters by name, in the order of their declaration."""
        return {spec.name: spec for spec, _ in self._parameters()}

    @property
    def values(self) -> dict[str, ParameterValue]:
        """The parameters' values by name."""
        return {spec.name: value for spec, value in self._parameters()}

    def with_values(self: _S, values: Mapping[str, ParameterValue]) -> _S:
        """Return a copy in which some parameters have other values.

        Arguments:
            values: by the parameter's name; other names are left alone.

        Raises:
            ValueError: a value is out of its bounds.
        """
        declared = _declared(type(self))
        changes: dict[str, Any] = {
            field: values[spec.name] for field, spec in declared.items() if spec.name in values
        }
        for field in fields(self):
            inner = getattr(self, field.name)
            if isinstance(inner, Settings):
                changes[field.name] = inner.with_values(values)
        return replace(self, **changes)

    def _parameters(self) -> Iterator[tuple[ParameterSpec, ParameterValue]]:
        declared = _declared(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Settings):
                yield from value._parameters()
            elif field.name in declared:
                yield declared[field.name], value


def _declared(kind: type[Settings]) -> dict[str, ParameterSpec]:
    """Return the specs of a class's own parameters, by the field's name."""
    specs = {field.name: field.metadata.get('parameter') for field in fields(kind)}
    return {field: replace(spec, name=spec.name or field) for field, spec in specs.items() if spec}
