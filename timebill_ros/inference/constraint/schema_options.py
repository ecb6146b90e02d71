"""A JSON schema with its references, unions and intersections taken apart."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

Schema = Mapping[str, Any]
"""Without $ref, anyOf, oneOf and allOf; its type, if it has one, is one type."""

ANY: Schema = {}
_MOST_OPTIONS = 32


class SchemaOptions:
    """What a value of a schema may look like: one of some plain schemas.

    These are for making text, not for judging it: what they leave out of a schema (such as that
    exactly one of oneOf holds) must be checked elsewhere.

    Arguments:
        root: the document that references point into.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        # By identity: a schema may hold itself. The schemas are kept, so that no id comes twice.
        self._known: dict[int, tuple[Any, tuple[Schema, ...]]] = {}

    def of(self, schema: Any) -> tuple[Schema, ...]:
        """Return the plain schemas of a schema; () if nothing fits it, or it is not understood."""
        known = self._known.get(id(schema))
        if known is None:
            # A schema that comes down to itself has nothing to add, so it starts with no options.
            self._known[id(schema)] = (schema, ())
            options = tuple(itertools.islice(self._options(schema), _MOST_OPTIONS))
            known = self._known[id(schema)] = (schema, options)
        return known[1]

    def _options(self, schema: Any) -> Iterator[Schema]:
        if schema is False:
            return
        if not isinstance(schema, dict):
            yield ANY
            return
        base = {key: value for key, value in schema.items() if key not in _COMPOSED}
        parts: list[Sequence[Schema]] = [[base]]
        if '$ref' in schema:
            parts.append(self.of(self._referred(schema['$ref'])))
        for key in ('anyOf', 'oneOf'):
            if key in schema:
                parts.append([plain for one in schema[key] for plain in self.of(one)])
        parts.extend(self.of(one) for one in schema.get('allOf', ()))
        for combination in itertools.islice(itertools.product(*parts), _MOST_OPTIONS):
            yield from _by_type(merged(combination))

    def _referred(self, reference: Any) -> Any:
        """Return what a reference points to; False if it is none inside the document."""
        if not isinstance(reference, str) or not reference.startswith('#'):
            return False
        found = self._root
        for part in reference[1:].split('/')[1:]:
            key = unquote(part).replace('~1', '/').replace('~0', '~')
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError):
                return False
        return found


_COMPOSED = frozenset(('$ref', 'anyOf', 'oneOf', 'allOf', '$defs', 'definitions'))


def merged(schemas: Iterable[Schema]) -> Schema:
    """Return a schema that asks for what each of some plain ones asks for."""
    first, *others = schemas
    for other in others:
        first = _merged_two(first, other)
    return first


def _merged_two(one: Schema, other: Schema) -> Schema:
    both: dict[str, Any] = {**one, **other}
    for key in one.keys() & other.keys():
        a, b = one[key], other[key]
        if key in ('properties', 'patternProperties'):
            both[key] = {**a, **b} | {k: {'allOf': [a[k], b[k]]} for k in a.keys() & b.keys()}
        elif key in ('items', 'additionalProperties'):
            both[key] = {'allOf': [a, b]}
        elif key == 'required':
            both[key] = list(dict.fromkeys([*a, *b]))
        elif key == 'enum':
            allowed = {json.dumps(value) for value in b}
            both[key] = [value for value in a if json.dumps(value) in allowed]
        elif key == 'type':
            both[key] = _common_types(_names(a), _names(b))
        elif key.startswith(('min', 'exclusiveMin')):
            both[key] = max(a, b)
        elif key.startswith(('max', 'exclusiveMax')):
            both[key] = min(a, b)
    return both


def _names(kind: Any) -> list[str]:
    return [kind] if isinstance(kind, str) else list(kind)


def _common_types(one: list[str], other: list[str]) -> list[str]:
    integers = ['integer'] if {'integer', 'number'} <= {*one, *other} else []
    common = [name for name in one if name in other]
    return common or [name for name in integers if name in one or name in other]


def _by_type(schema: Schema) -> Iterator[Schema]:
    kind = schema.get('type')
    if not isinstance(kind, list):
        yield schema
        return
    for name in kind:
        yield {**schema, 'type': name}


def property_names(schema: Schema) -> list[str]:
    """Return the names of an object's properties, in the order in which they are written."""
    return list(dict.fromkeys([*schema.get('properties', {}), *schema.get('required', ())]))


def property_schema(schema: Schema, name: str) -> Any:
    """Return the schema of an object's property."""
    properties = schema.get('properties', {})
    return properties[name] if name in properties else schema.get('additionalProperties', True)


def item_schema(schema: Schema, index: int) -> Any:
    """Return the schema of an array's item."""
    first = schema.get('prefixItems', ())
    return first[index] if index < len(first) else schema.get('items', True)
