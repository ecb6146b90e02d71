"""Grades a function call as bfcl-eval does with calls of Python functions: right or wrong.

The expected call has a list of accepted values for each argument; '' among them: it may be absent.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timebill_ros.inference.constraint.json_prefix import JsonPrefix

Accepted = Sequence[Any]
"""The values that an argument may have."""
_TYPES: Mapping[str, Any] = {
    **{'string': str, 'any': str, 'integer': int, 'float': float, 'boolean': bool},
    **{'array': list, 'tuple': list, 'dict': dict},
}
_IGNORED = str.maketrans({**dict.fromkeys(' ,./-_*^', ''), "'": '"'})
_ABSENT = ''


@dataclass(frozen=True)
class ExpectedCall:
    """The call that is right.

    Arguments:
        function: as the data set describes it.
        arguments: what is accepted of each.
    """

    function: Mapping[str, Any]
    arguments: Mapping[str, Accepted]

    def grade(self, answer: str) -> float:
        """Return 1 if an answer is the call, else 0; see closed_call() for one that is cut off."""
        call = closed_call(answer)
        return float(
            isinstance(call, dict)
            and call.get('name') == self.function['name']
            and isinstance(call.get('arguments'), dict)
            and self._is_met(call['arguments'])
        )

    def _is_met(self, given: Mapping[str, Any]) -> bool:
        parameters = self.function['parameters']
        described = parameters['properties']
        needed = {name for name, accepted in self.arguments.items() if _ABSENT not in accepted}
        return (
            needed.union(parameters['required']) <= given.keys()
            and given.keys() <= self.arguments.keys() & described.keys()
            and all(
                is_accepted(value, described[name], self.arguments[name])
                for name, value in given.items()
            )
        )


def closed_call(text: str) -> Any:
    """Return the JSON value of an answer; None if there is none.

    One that is cut off ends behind its last whole value, as the node closes it, without what is
    missing. If it is cut off inside a text, there is none: a part of a text is another text.

    Arguments:
        text: JSON without white space, perhaps cut off.
    """
    prefix = JsonPrefix()
    if not text.startswith('{'):
        return None
    prefix.add(text)
    if prefix.place is None or prefix.open_string is not None:
        return None
    brackets, frame = '', prefix.place.frame
    while frame is not None:
        brackets += '}' if frame.is_object else ']'
        frame = frame.parent
    return json.loads(text[: prefix.place.position] + brackets)


def is_accepted(value: Any, described: Mapping[str, Any], accepted: Accepted) -> bool:
    """Return whether an argument has the right type and one of the accepted values.

    Arguments:
        described: the parameter, by the data set's own schema.
    """
    kind = _TYPES[described['type']]
    if kind is float and type(value) is int:
        value = float(value)
    common = _type_of(accepted)
    if type(value) is not kind:  # the name of a variable, say
        return type(value) is common and value in accepted
    if kind is list and not _has_items(value, _TYPES[described['items']['type']], accepted):
        return False
    if common not in (None, kind):
        return value in accepted
    if kind is dict:
        return any(_is_object(value, one) for one in accepted if one != _ABSENT)
    if kind is list and described['items']['type'] == 'dict':
        return any(len(one) == len(value) and all(map(_is_object, value, one)) for one in accepted)
    if kind is list:
        return [_normal(item) for item in value] in [list(map(_normal, one)) for one in accepted]
    return _normal(value) in map(_normal, accepted)


def _type_of(accepted: Accepted) -> type | None:
    """Return the type of the first value; None: none is given."""
    return next((type(one) for one in accepted if one != _ABSENT), None)


def _has_items(value: list[Any], kind: Any, accepted: Accepted) -> bool:
    """Return whether all items have the described type, or that of an accepted value's first."""
    return any(
        all(type(item) in (kind, _type_of(one)) for item in value) if type(one) is list else True
        for one in accepted
    )


def _is_object(value: Mapping[str, Any], accepted: Mapping[str, Accepted]) -> bool:
    return all(
        key in accepted and _normal(item) in map(_normal, accepted[key])
        for key, item in value.items()
    ) and all(key in value or _ABSENT in values for key, values in accepted.items())


def _normal(value: Any) -> Any:
    """Return a text without case and some punctuation; anything else as it is."""
    return value.translate(_IGNORED).lower() if isinstance(value, str) else value
