"""Short values of scalar schemas, as JSON texts, in the order in which they should be tried."""

import math
from collections.abc import Iterator
from typing import Any

from timebill_ros.inference.constraint.json_text import json_text
from timebill_ros.inference.constraint.schema_options import Schema
from timebill_ros.inference.constraint.shortest_match import shortest_match

SCALARS = ('null', 'boolean', 'integer', 'number', 'string')
_LONGEST_STRING = 4096
_FORMATS = {
    'date-time': '1970-01-01T00:00:00Z',
    'date': '1970-01-01',
    'time': '00:00:00Z',
    'duration': 'PT0S',
    'email': 'a@b.cc',
    'hostname': 'a',
    'ipv4': '0.0.0.0',
    'ipv6': '::',
    'uuid': '00000000-0000-0000-0000-000000000000',
    'uri': 'a:b',
}


def scalar_texts(schema: Schema) -> Iterator[str]:
    """Yield candidates for a plain schema of a scalar; each must be checked.

    Arguments:
        schema: with one of the types in SCALARS.
    """
    kind = schema['type']
    if kind == 'null':
        yield 'null'
    elif kind == 'boolean':
        yield 'false'
        yield 'true'
    elif kind == 'string':
        yield from (json_text(text) for text in _strings(schema))
    else:
        yield from (json_text(number) for number in _numbers(schema, kind == 'integer'))


def _strings(schema: Schema) -> Iterator[str]:
    shortest = min(int(schema.get('minLength', 0)), _LONGEST_STRING)
    if 'pattern' in schema:
        found = shortest_match(schema['pattern'])
        if found is not None:
            yield found
            yield found + 'a' * (shortest - len(found))
            yield 'a' * (shortest - len(found)) + found
    elif 'format' in schema:
        if schema['format'] in _FORMATS:
            yield _FORMATS[schema['format']]
    else:
        yield '-' * shortest


def _numbers(schema: Schema, is_integer: bool) -> Iterator[float]:
    """Yield 0 first, then the smallest and the largest number, and what lies next to them."""
    low = max(schema.get('minimum', -math.inf), schema.get('exclusiveMinimum', -math.inf))
    high = min(schema.get('maximum', math.inf), schema.get('exclusiveMaximum', math.inf))
    step = schema.get('multipleOf') or (1 if is_integer else 0)
    near: list[Any] = [0]
    if step:
        bounds = [(low, math.floor), (high, math.ceil)]
        for bound, rounded in bounds:
            if math.isfinite(bound):
                first = rounded(bound / step)
                near += [(first + more) * step for more in (-1, 0, 1, 2)]
    else:
        near += [bound for bound in (low, high) if math.isfinite(bound)]
        if math.isfinite(low) and math.isfinite(high):
            near.append((low + high) / 2)
        near += [math.floor(low) + 1] if math.isfinite(low) else []
        near += [math.ceil(high) - 1] if math.isfinite(high) else []
    for number in near:
        if _is_within(schema, number):
            yield int(number) if is_integer else number


def _is_within(schema: Schema, number: float) -> bool:
    return bool(
        schema.get('minimum', -math.inf) <= number <= schema.get('maximum', math.inf)
        and schema.get('exclusiveMinimum', -math.inf)
        < number
        < schema.get('exclusiveMaximum', math.inf)
    )
