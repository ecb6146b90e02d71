"""Compact JSON, as the constraint has the model write it."""

import json
from typing import Any


def json_text(value: Any) -> str:
    """Return a value as JSON without white space; 1.0 becomes 1, as the grammar has it."""
    return json.dumps(_whole(value), ensure_ascii=False, separators=(',', ':'))


def pointer_part(key: str | int) -> str:
    """Return a key or an index as the part of a JSON Pointer (RFC 6901)."""
    return '/' + str(key).replace('~', '~0').replace('/', '~1')


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
