"""How long a schema's documents can become."""

import math
from typing import Any

from timebill_ros.inference.constraint.json_text import json_text
from timebill_ros.inference.constraint.schema_options import (
    Schema,
    SchemaOptions,
    item_schema,
    property_names,
    property_schema,
)

_BYTES_PER_CHARACTER = 6
"""Of a string in JSON, at most: a control character is written as six."""
_MANY = 4096


def longest_text(options: SchemaOptions, root: Any) -> int:
    """Return the bytes of a schema's longest document, or more; 0: there is no bound.

    A token has at least a byte, so an answer has at most so many tokens.
    """
    length = _Longest(options).of(root)
    return int(length) if math.isfinite(length) else 0


class _Longest:
    def __init__(self, options: SchemaOptions) -> None:
        self._options = options
        self._known: dict[int, float] = {}

    def of(self, schema: Any) -> float:
        key = id(schema)
        if key not in self._known:
            self._known[key] = math.inf  # of a schema that holds itself
            plain = self._options.of(schema)
            self._known[key] = max(map(self._plain, plain), default=math.inf)
        return self._known[key]

    def _plain(self, plain: Schema) -> float:
        values = [plain['const']] if 'const' in plain else plain.get('enum')
        if values is not None:
            return max((len(json_text(value).encode()) for value in values), default=math.inf)
        kind = plain.get('type')
        if kind == 'null' or kind == 'boolean':
            return len('false')
        if kind == 'integer' and {'minimum', 'maximum'} <= plain.keys():
            return max(len(json_text(int(plain[key]))) for key in ('minimum', 'maximum')) + 1
        if kind == 'string' and 'maxLength' in plain:
            return 2.0 + _BYTES_PER_CHARACTER * int(plain['maxLength'])
        if kind == 'object' and plain.get('additionalProperties') is False:
            return self._object(plain)
        if kind == 'array' and plain.get('maxItems', _MANY) < _MANY:
            indices = range(int(plain['maxItems']))
            return 2.0 + sum(self.of(item_schema(plain, index)) + 1 for index in indices)
        return math.inf

    def _object(self, plain: Schema) -> float:
        if plain.get('patternProperties'):
            return math.inf
        return 2.0 + sum(
            len(json_text(name).encode()) + 2 + self.of(property_schema(plain, name))
            for name in property_names(plain)
        )
