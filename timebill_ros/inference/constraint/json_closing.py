"""What makes a whole document of the beginning of one: the shortest ends of its schema."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from timebill_ros.inference.constraint.json_prefix import Frame
from timebill_ros.inference.constraint.json_text import json_text, pointer_part
from timebill_ros.inference.constraint.minimal_instance import (
    MOST_ITEMS,
    Instance,
    MinimalInstances,
)
from timebill_ros.inference.constraint.schema_options import (
    Schema,
    SchemaOptions,
    item_schema,
    property_names,
    property_schema,
)

_MOST_COMBINATIONS = 64


@dataclass(frozen=True)
class JsonClosings:
    """Makes the ends of documents of one schema. They are candidates: each must be checked.

    Arguments:
        root: the schema.
        options: of its document.
        instances: of its schemas.
    """

    root: object
    options: SchemaOptions
    instances: MinimalInstances

    def of(self, frame: Frame | None) -> list[Instance]:
        """Return the ends after a complete value or an opening bracket, the best one first.

        Arguments:
            frame: the innermost open container; None: nothing is open.
        """
        inner, around = [frame] if frame else [], frame.parent if frame else None
        # Each container is a value of the one around it, complete by then.
        frames = inner + [outer.with_value() for outer in _outwards(around)]
        ends = [list(self._ends(each)) for each in frames]
        combinations = itertools.islice(itertools.product(*ends), _MOST_COMBINATIONS)
        found: dict[str, Instance] = {}
        for parts in combinations:
            text = ''.join(part.text for part in parts)
            filled = tuple(pointer for part in parts for pointer in part.filled)
            invented = tuple(pointer for part in parts for pointer in part.invented)
            found.setdefault(text, Instance(text, filled, invented))
        return sorted(found.values(), key=lambda end: end.cost)

    def may_be_cut(self, frame: Frame | None) -> bool:
        """Return whether a string there is free text: a part of it is a value, too.

        The beginning of a word from a list, of a number plate or of a date is not: it may be
        another one.
        """
        return all(
            not {'const', 'enum', 'pattern', 'format'} & plain.keys()
            for schema in self._value_schemas(frame)
            for plain in self.options.of(schema)
            if plain.get('type', 'string') == 'string'
        )

    def _value_schemas(self, frame: Frame | None) -> list[object]:
        """Return the schemas of the value that comes now in a container."""
        if frame is None:
            return [self.root]
        if frame.is_object:
            return [property_schema(plain, frame.key) for plain in self._plain(frame)]
        return [item_schema(plain, frame.items) for plain in self._plain(frame)]

    def _plain(self, frame: Frame) -> list[Schema]:
        """Return the plain schemas that a container may have, by what is in it so far."""
        kind = 'object' if frame.is_object else 'array'
        plain = [
            option
            for schema in self._value_schemas(frame.parent)
            for option in self.options.of(schema)
            if option.get('type', kind) == kind
        ]
        return [option for option in plain if self._agrees(option, frame)] or plain

    def _agrees(self, plain: Schema, frame: Frame) -> bool:
        """Return whether a schema's fixed values are those that a container has."""
        for key, text in frame.scalars:
            for option in self.options.of(property_schema(plain, key)):
                values = [option['const']] if 'const' in option else option.get('enum')
                if values is None or text in map(json_text, values):
                    break
            else:
                return False
        return True

    def _ends(self, frame: Frame) -> Iterator[Instance]:
        """Yield what a container still needs, with its bracket."""
        options = self._plain(frame)
        for plain in options:
            end = self._end(frame, list(_missing(plain, frame)))
            if end is not None:
                yield end.among(len(options))

    def _end(self, frame: Frame, missing: list[tuple[str | int, str, object]]) -> Instance | None:
        texts: list[str] = []
        filled: list[str] = []
        invented: list[str] = []
        place = _pointer(frame)
        for name, label, schema in missing:
            instance = self.instances.of(schema)
            if instance is None:
                return None
            part = instance.under(place + pointer_part(name))
            texts.append(label + part.text)
            filled += part.filled
            invented += part.invented
        comma = ',' if texts and not frame.is_empty else ''
        bracket = '}' if frame.is_object else ']'
        return Instance(comma + ','.join(texts) + bracket, tuple(filled), tuple(invented))


def _missing(plain: Schema, frame: Frame) -> Iterator[tuple[str | int, str, object]]:
    """Yield what a container must still hold: its name, its label, its schema."""
    if not frame.is_object:
        for index in range(frame.items, min(int(plain.get('minItems', 0)), MOST_ITEMS)):
            yield index, '', item_schema(plain, index)
        return
    required = set(plain.get('required', ())).difference(frame.keys)
    for name in property_names(plain):
        if name in required:
            yield name, json_text(name) + ':', property_schema(plain, name)


def _outwards(frame: Frame | None) -> Iterator[Frame]:
    while frame is not None:
        yield frame
        frame = frame.parent


def _pointer(frame: Frame) -> str:
    """Return where a container is in the document."""
    parents = list(_outwards(frame.parent))[::-1]
    return ''.join(
        pointer_part(parent.key if parent.is_object else parent.items) for parent in parents
    )
