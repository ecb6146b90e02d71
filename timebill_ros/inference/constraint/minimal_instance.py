"""For every schema in a document, the shortest value that fits it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from timebill_ros.inference.constraint.json_text import json_text, pointer_part
from timebill_ros.inference.constraint.scalar_instance import SCALARS, scalar_texts
from timebill_ros.inference.constraint.schema_options import (
    Schema,
    SchemaOptions,
    item_schema,
    property_names,
    property_schema,
)

_MOST_SCHEMAS = 10_000
_MOST_ROUNDS = 64
_LONGEST = 1 << 16
MOST_ITEMS = 4096
"""Of an array that is made up."""
_PYTHON: dict[str, tuple[type, ...]] = {
    'null': (type(None),),
    'boolean': (bool,),
    'integer': (int, float),
    'number': (int, float),
    'string': (str,),
    'array': (list,),
    'object': (dict,),
}


@dataclass(frozen=True)
class Instance:
    """A value of a schema.

    Arguments:
        text: as compact JSON.
        filled: JSON Pointers of its scalars and empty containers.
        invented: those of them that the schema neither gives a default for nor fixes.
        is_default: the schema gives it as its default.
    """

    text: str
    filled: tuple[str, ...] = ('',)
    invented: tuple[str, ...] = ()
    is_default: bool = False

    def among(self, options: int) -> 'Instance':
        """Return it as one of some options: to take one of several is to invent all that it has.

        What looks fixed in it, such as {"kind": "stop"}, may be what tells the options apart.
        """
        if options == 1 or self.is_default:
            return self
        return replace(self, invented=self.filled)

    def under(self, part: str) -> 'Instance':
        """Return it with its pointers below a part of a pointer."""
        return Instance(
            self.text,
            tuple(part + pointer for pointer in self.filled),
            tuple(part + pointer for pointer in self.invented),
        )

    @property
    def cost(self) -> tuple[int, int]:
        """What makes it worse than another one: what it invents, then its length."""
        return len(self.invented), len(self.text)


class MinimalInstances:
    """The best instance of each schema, by a fixed point: an object's grows from its parts'.

    Arguments:
        options: of the document.
        root: its schema.
        accepts: whether a text is a value of a schema; asked for defaults, patterns and formats.
    """

    def __init__(
        self, options: SchemaOptions, root: Any, accepts: Callable[[Any, str], bool]
    ) -> None:
        self._options = options
        self._accepts = accepts
        self._best: dict[int, Instance] = {}
        self._given: dict[int, tuple[Instance, ...]] = {}
        schemas = self._schemas(root)
        for _ in range(_MOST_ROUNDS):
            if not sum(self._improve(schema) for schema in reversed(schemas)):
                break

    def of(self, schema: Any) -> Instance | None:
        """Return the best instance of a schema; None: there is none, or it is not found."""
        return self._best.get(id(schema))

    def _schemas(self, root: Any) -> list[Any]:
        """Return the schemas that instances can be made of, the document's first."""
        found: dict[int, Any] = {id(root): root}
        queue = [root]
        for schema in queue:
            for part in (part for plain in self._options.of(schema) for part in _parts(plain)):
                if id(part) not in found and len(found) < _MOST_SCHEMAS:
                    found[id(part)] = part
                    queue.append(part)
        return queue

    def _improve(self, schema: Any) -> bool:
        options = self._options.of(schema)
        instances = [
            instance.among(len(options))
            for plain in options
            for instance in self._instances(schema, plain)
            if len(instance.text) <= _LONGEST
        ]
        best = min(instances, key=lambda instance: instance.cost, default=None)
        known = self._best.get(id(schema))
        if best is None or (known is not None and known.cost <= best.cost):
            return False
        self._best[id(schema)] = best
        return True

    def _instances(self, schema: Any, plain: Schema) -> Iterator[Instance]:
        key = id(plain)
        if key not in self._given:
            self._given[key] = tuple(self._given_by(schema, plain))
        yield from self._given[key]
        if 'const' in plain or 'enum' in plain:
            return
        if plain.get('type') == 'object':
            yield from self._object(plain)
        elif plain.get('type') == 'array':
            yield from self._array(plain)

    def _given_by(self, schema: Any, plain: Schema) -> Iterator[Instance]:
        """Yield what does not depend on other schemas."""
        if 'default' in plain:
            text = json_text(plain['default'])
            if self._accepts(schema, text):
                yield Instance(text, is_default=True)
        values = [plain['const']] if 'const' in plain else plain.get('enum')
        if values is not None:
            invented = () if len(values) == 1 else ('',)
            kind = plain.get('type')
            for value in values:
                if kind is None or isinstance(value, _PYTHON[kind]):
                    yield Instance(json_text(value), invented=invented)
        elif 'type' not in plain:
            yield Instance('null', invented=('',))
        elif plain['type'] in SCALARS:
            for text in scalar_texts(plain):
                if not {'pattern', 'format', 'multipleOf'} & plain.keys() or self._accepts(
                    schema, text
                ):
                    yield Instance(text, invented=() if plain['type'] == 'null' else ('',))
                    return

    def _object(self, plain: Schema) -> Iterator[Instance]:
        required = set(plain.get('required', ()))
        names = [name for name in property_names(plain) if name in required]
        yield from self._joined(
            '{}',
            [(name, json_text(name) + ':', property_schema(plain, name)) for name in names],
        )

    def _array(self, plain: Schema) -> Iterator[Instance]:
        count = int(plain.get('minItems', 0))
        if count <= MOST_ITEMS:
            yield from self._joined(
                '[]', [(index, '', item_schema(plain, index)) for index in range(count)]
            )

    def _joined(
        self, brackets: str, parts: list[tuple[str | int, str, Any]]
    ) -> Iterator[Instance]:
        """Yield a container of named parts, unless one of them has no instance yet."""
        texts: list[str] = []
        filled: list[str] = []
        invented: list[str] = []
        for name, label, schema in parts:
            instance = self.of(schema)
            if instance is None:
                return
            part = instance.under(pointer_part(name))
            texts.append(label + part.text)
            filled += part.filled
            invented += part.invented
        text = brackets[0] + ','.join(texts) + brackets[1]
        if parts:
            yield Instance(text, tuple(filled), tuple(invented))
        else:
            yield Instance(text, invented=('',))


def _parts(plain: Schema) -> Iterator[Any]:
    """Yield the schemas of what a plain schema's values may hold."""
    for name in property_names(plain):
        yield property_schema(plain, name)
    yield from plain.get('patternProperties', {}).values()
    if isinstance(plain.get('additionalProperties'), dict):
        yield plain['additionalProperties']
    yield from plain.get('prefixItems', ())
    yield plain.get('items', True)
