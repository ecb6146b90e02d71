"""The form that an asker wants an answer in, and how the answer is read."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from timebill_ros.client.question_check import check_unicode
from timebill_ros.msg import Query


@dataclasses.dataclass(frozen=True)
class AnswerForm:
    """The constraint of a query.

    Arguments:
        kind, constraint, choices, fill_missing: the fields of the message Query.
        parsed_type: of what a JSON answer is read as; None: the answer is text.
    """

    kind: int = Query.NONE
    constraint: str = ''
    choices: tuple[str, ...] = ()
    fill_missing: bool = False
    parsed_type: Any = None

    def write(self, query: Query) -> None:
        """Write the form into a query."""
        query.constraint_kind, query.constraint = self.kind, self.constraint
        query.choices, query.fill_missing = list(self.choices), self.fill_missing

    def parsed(self, text: str) -> Any:
        """Return an answer as an object; None: it is text.

        Raises:
            ValueError: the answer does not have this form.
        """
        if self.parsed_type is None:
            return None
        try:
            return msgspec.json.decode(text, type=self.parsed_type)
        except ValueError as error:
            reason = f'the answer does not have the form of json_schema: {error}'
            raise ValueError(reason) from None


FREE_TEXT = AnswerForm()


def answer_form(
    json_schema: dict[str, Any] | type | None = None,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    fill_missing: bool = False,
) -> AnswerForm:
    """Return the form that the arguments of a question describe.

    Arguments:
        json_schema: a JSON schema, or a dataclass.
        regex: a regular expression.
        choices: the answers to choose from.
        fill_missing: required values that the model has not begun may be invented.

    Raises:
        ValueError: an argument cannot be used; the sentence names it.
    """
    given = {'json_schema': json_schema, 'regex': regex, 'choices': choices}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f'only one of json_schema, regex and choices may be set, got {names}')
    if fill_missing and json_schema is None:
        raise ValueError('fill_missing must be False without json_schema, got True')
    if json_schema is not None:
        schema, parsed_type = _schema(json_schema)
        return AnswerForm(Query.JSON_SCHEMA, schema, (), fill_missing, parsed_type)
    if regex is not None:
        if not isinstance(regex, str) or not regex.strip():
            raise ValueError(f'regex must be a regular expression, got {regex!r}')
        check_unicode('regex', regex)
        return AnswerForm(Query.REGEX, regex)
    if choices is not None:
        return AnswerForm(Query.CHOICES, choices=_checked_choices(choices))
    return FREE_TEXT


def _schema(json_schema: Any) -> tuple[str, Any]:
    """Return a JSON schema as text, and the type that its documents are read as."""
    schema: Any = json_schema
    parsed_type: Any = Any
    if isinstance(json_schema, type) and dataclasses.is_dataclass(json_schema):
        parsed_type = json_schema
        try:
            schema = msgspec.json.schema(json_schema)
        except (TypeError, NameError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f'json_schema cannot be made of the dataclass {json_schema.__name__}: {reason}'
            ) from None
        for definition in schema['$defs'].values():
            if 'properties' in definition:  # the model writes the dataclass's fields, and no more
                definition.setdefault('additionalProperties', False)
    elif not isinstance(json_schema, dict):
        raise ValueError(f'json_schema must be a dict or a dataclass, got {json_schema!r}')
    try:
        return json.dumps(schema, allow_nan=False), parsed_type
    except (TypeError, ValueError) as error:
        raise ValueError(f'json_schema cannot be written as JSON: {error}') from None


def _checked_choices(choices: Sequence[str]) -> tuple[str, ...]:
    if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f'choices must be a list of strings, got {choices!r}')
    if not choices:
        raise ValueError('choices must not be empty')
    for index, choice in enumerate(choices):
        if not choice.strip():
            raise ValueError(f'choices must not be empty, got {choice!r} at {index}')
        if choices.index(choice) < index:
            raise ValueError(f'choices must differ, got {choice!r} twice')
        check_unicode(f'choices[{index}]', choice)
    return tuple(choices)
