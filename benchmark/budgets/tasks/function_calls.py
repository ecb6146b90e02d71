"""bfcl-eval: a list of functions, and a user's request; the answer is the one call that serves it.

The request's own functions stand among those of other requests, so most of the prompt would be the
same for the next request. Requests are shuffled and dealt to three shares; a seed takes one of
them. So seeds whose difference is no multiple of three have no request in common.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmark.budgets.tasks.call_grade import ExpectedCall
from benchmark.budgets.tasks.task import Material, Question
from benchmark.constraints.function_schemas import as_json_schema
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.training.archive import Archive

_DATA = 'bfcl_eval/data/'
_CATEGORIES = ('simple_python', 'multiple')
"""Those in which one call serves the request."""
SHARES = 3
_KEPT = ('type', 'enum', 'items', 'properties', 'required')
"""What a constraint takes of a schema."""
_TASK = (
    'Reply with one call as JSON: the name of the function that serves the request, and its '
    'arguments. For example: {"name":"sum","arguments":{"a":1,"b":2}}'
)
Function = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Arguments:
        text: the request.
        functions: those that the data set offers for it, one of them the right one.
        expected: the right call.
    """

    text: str
    functions: Sequence[Function]
    expected: ExpectedCall


def calls(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield the requests of a seed's share, each once, among as many functions as fit."""
    requests = list({one.text: one for one in _requests(material.texts())}.values())
    Random('shares').shuffle(requests)
    functions = {one['name']: one for request in requests for one in request.functions}
    mine = requests[material.seed % SHARES :: SHARES]
    material.random.shuffle(mine)
    for request, tokens in zip(mine, lengths, strict=False):
        offered = _offered(request, list(functions.values()), tokens, material)
        listed = '\n'.join(json.dumps(_shown(function)) for function in offered)
        yield Question(
            f'You can call these functions:\n{listed}\n\n{_TASK}\n\nRequest: {request.text}',
            request.expected.grade,
            Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(call_schema(offered))),
        )


def call_schema(functions: Sequence[Function]) -> dict[str, Any]:
    """Return the JSON schema of a call of any of some functions."""
    return {
        'anyOf': [
            _object(
                {
                    'name': {'const': function['name']},
                    'arguments': _form(as_json_schema(function['parameters'])),
                }
            )
            for function in functions
        ]
    }


def _requests(archive: Archive) -> Iterator[Request]:
    for category in _CATEGORIES:
        name = f'BFCL_v4_{category}.json'
        expected = {
            row['id']: row['ground_truth'][0]
            for row in archive.json_lines(f'{_DATA}possible_answer/{name}')
        }
        for row in archive.json_lines(_DATA + name):
            ((right, arguments),) = expected[row['id']].items()
            function = next(one for one in row['function'] if one['name'] == right)
            text = row['question'][0][-1]['content']
            yield Request(text, row['function'], ExpectedCall(function, arguments))


def _offered(
    request: Request, others: list[Function], tokens: int, material: Material
) -> list[Function]:
    """Return a request's functions among others, in a drawn order."""
    offered = {one['name']: one for one in request.functions}
    length = material.count_tokens(_TASK + request.text)
    length += sum(material.count_tokens(json.dumps(_shown(one))) for one in offered.values())
    for other in material.random.sample(others, len(others)):
        if length >= tokens:
            break
        if other['name'] not in offered:
            offered[other['name']] = other
            length += material.count_tokens(json.dumps(_shown(other)))
    return material.random.sample(list(offered.values()), len(offered))


def _shown(function: Function) -> Function:
    return {**function, 'parameters': as_json_schema(function['parameters'])}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'type': 'object',
        'properties': properties,
        'required': list(properties),
        'additionalProperties': False,
    }


def _form(schema: Any) -> Any:
    """Return what a value must be, without descriptions and defaults."""
    kept = {key: schema[key] for key in _KEPT if key in schema}
    if 'items' in kept:
        kept['items'] = _form(kept['items'])
    if 'properties' in kept:
        kept['properties'] = {name: _form(part) for name, part in kept['properties'].items()}
        kept['additionalProperties'] = False
    return kept
