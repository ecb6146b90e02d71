"""Real JSON schemas: the parameters of bfcl-eval's functions, each with a user's request."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from timebill_ros.training.archive import Archive

_DATA = 'bfcl_eval/data/BFCL_v4_'
_FILES = (
    *('live_simple', 'live_multiple', 'live_parallel', 'live_parallel_multiple'),
    *('simple_python', 'simple_java', 'simple_javascript'),
    *('multiple', 'parallel', 'parallel_multiple'),
)
_TYPES = {
    **dict.fromkeys(('dict', 'HashMap', 'Hashtable'), 'object'),
    **dict.fromkeys(('tuple', 'Array', 'ArrayList', 'list', 'Queue', 'Stack'), 'array'),
    **dict.fromkeys(('float', 'double'), 'number'),
    **dict.fromkeys(('long', 'short', 'byte', 'int'), 'integer'),
    **dict.fromkeys(('Boolean', 'bool'), 'boolean'),
    **dict.fromkeys(('String', 'char', 'bigint', 'Bigint'), 'string'),
}
"""Names of the data set's languages, as JSON schemas have them. What is not here stays."""
_ANY = ('any', '', 'object_or_none')


@dataclass(frozen=True)
class FunctionSchema:
    """A request, and what the call of a function that may serve it looks like.

    Arguments:
        name: of the function.
        prompt: the request, with what the function does.
        schema: of its arguments.
    """

    name: str
    prompt: str
    schema: Any

    @property
    def text(self) -> str:
        """The schema as JSON."""
        return json.dumps(self.schema)


def function_schemas(archive: Archive, count: int, seed: int) -> list[FunctionSchema]:
    """Return functions, no two of which have the same parameters, in an order that is drawn.

    Every second one, by a coin, takes no other arguments than it names.

    Arguments:
        archive: of bfcl-eval.
    """
    draw = random.Random(f'{seed} schemas')
    found: dict[str, FunctionSchema] = {}
    for request, function in calls(archive):
        key = json.dumps(function['parameters'], sort_keys=True)
        if key not in found:
            schema = as_json_schema(function['parameters'])
            if draw.random() < 0.5:
                schema = {**schema, 'additionalProperties': False}
            prompt = (
                f'{request}\n\nCall the function {function["name"]}: '
                f'{function.get("description", "")}\nAnswer with its arguments as JSON.'
            )
            found[key] = FunctionSchema(function['name'], prompt, schema)
    return draw.sample(list(found.values()), count)


def calls(archive: Archive) -> Iterator[tuple[str, Any]]:
    """Yield each request with each of the functions that may be called for it."""
    for request, functions in offers(archive):
        for function in functions:
            yield request, function


def offers(archive: Archive) -> Iterator[tuple[str, list[Any]]]:
    """Yield each request with all functions that may be called for it."""
    for name in _FILES:
        for row in archive.json_lines(f'{_DATA}{name}.json'):
            yield row['question'][0][-1]['content'], row['function']


def as_json_schema(parameters: Any) -> Any:
    """Return parameters with the types of JSON; all that is not a type stays as it is."""
    if not isinstance(parameters, dict):
        return parameters
    schema: dict[str, Any] = {}
    for key, value in parameters.items():
        if key == 'properties' and isinstance(value, dict):
            schema[key] = {name: as_json_schema(part) for name, part in value.items()}
        elif key in ('items', 'additionalProperties'):
            schema[key] = as_json_schema(value)
        elif key == 'type' and isinstance(value, str):
            if value not in _ANY:
                schema[key] = _TYPES.get(value, value)
        else:
            schema[key] = value
    return schema
