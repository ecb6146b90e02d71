"""A query as the body of an OpenAI-compatible chat completion."""

from typing import Any

from timebill_ros.core.constraint import ConstraintKind
from timebill_ros.core.turn import Role, user_turn
from timebill_ros.remote.dialect import Dialect
from timebill_ros.remote.protocol import Ask

_ROLES = {Role.USER: 'user', Role.ASSISTANT: 'assistant'}
_QUOTES = 8
"""Tokens more than its bytes that a choice may take, as a JSON string."""


def chat_request(ask: Ask, model: str, dialect: Dialect) -> dict[str, Any]:
    """Return the body of a request that streams.

    Arguments:
        dialect: what the server takes.

    Raises:
        FormError: the query's constraint cannot be used.
    """
    messages = [{'role': 'system', 'content': ask.system_prompt}] if ask.system_prompt else []
    messages += [{'role': _ROLES[turn.role], 'content': turn.text} for turn in ask.history]
    messages.append({'role': 'user', 'content': user_turn(ask.prompt, ask.context)})
    return {
        'model': model,
        'messages': messages,
        'max_tokens': most_tokens(ask),
        'temperature': 0.0,
        'stream': True,
        'stream_options': {'include_usage': True},
        **dialect.fields(ask),
    }


def most_tokens(ask: Ask) -> int:
    """Return how long the answer may be [tokens]; max_new_tokens does not bound a choice."""
    if ask.constraint is not None and ask.constraint.kind is ConstraintKind.CHOICES:
        return _QUOTES + max(len(choice.encode()) for choice in ask.constraint.choices)
    return ask.max_new_tokens
