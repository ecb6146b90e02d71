"""What a server takes beyond plain chat completions: learned from what it refuses."""

import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from timebill_ros.remote.answer_form import schema_of
from timebill_ros.remote.protocol import Ask


class SchemaField(Enum):
    """How a server takes the form of an answer."""

    JSON_SCHEMA = 'as OpenAI and vLLM do'
    JSON_OBJECT = 'as servers of llama.cpp do'
    NONE = 'it takes none: the answer is only checked'


@dataclass(frozen=True)
class Dialect:
    """What to send to a server. It begins with everything.

    Arguments:
        priority: vLLM's field: the smaller, the sooner. Queries of all nodes that share the server
            are served in the order of their deadlines, as far as their clocks agree.
        schema: how constraints are sent.
    """

    priority: bool = True
    schema: SchemaField = SchemaField.JSON_SCHEMA

    def fields(self, ask: Ask) -> dict[str, Any]:
        """Return the fields of a request.

        Raises:
            FormError: the query's constraint cannot be used.
        """
        fields: dict[str, Any] = {}
        if self.priority:
            fields['priority'] = _deadline_ms(ask)
        if ask.constraint is not None:
            fields.update(self._format(schema_of(ask.constraint)))
        return fields

    def without(self, refusal: str, ask: Ask) -> 'Dialect | None':
        """Return what to try after a server has refused a request; None: it was something else.

        Arguments:
            refusal: what it has said.
            ask: the query.
        """
        said = refusal.lower()
        if self.priority and 'priority' in said:
            return replace(self, priority=False)
        if ask.constraint is None or 'response_format' not in said:
            return None
        kinds = list(SchemaField)
        place = kinds.index(self.schema) + 1
        return replace(self, schema=kinds[place]) if place < len(kinds) else None

    def _format(self, schema: Any) -> dict[str, Any]:
        if self.schema is SchemaField.JSON_SCHEMA:
            answer = {'name': 'answer', 'strict': True, 'schema': schema}
            return {'response_format': {'type': 'json_schema', 'json_schema': answer}}
        if self.schema is SchemaField.JSON_OBJECT:
            return {'response_format': {'type': 'json_object', 'schema': schema}}
        return {}


def _deadline_ms(ask: Ask) -> int:
    """Return the query's last moment on the world's clock, which other nodes have too [ms]."""
    return round(1000.0 * (time.time() + ask.until_s - time.monotonic()))
