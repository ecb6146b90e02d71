"""Whether an answer has the form that its query asked for, as far as the node can see it."""

import json
from typing import NoReturn

from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.outcome import Answer


def why_not_of_form(answer: Answer, constraint: Constraint | None) -> str:
    """Return what is wrong with an answer; '': it has its form, or needs none.

    The backend answers for the schema and the expression. But a robot must not get free text for a
    document or a choice, whatever is wrong in the backend.
    """
    if constraint is None:
        return ''
    if constraint.kind is ConstraintKind.CHOICES and answer.confidence.choice < 0:
        return 'the answer is none of the choices'
    if constraint.kind is ConstraintKind.JSON_SCHEMA:
        try:
            json.loads(answer.text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return f'the answer is no JSON document: {error}'
    return ''


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f'{constant} is no JSON')
