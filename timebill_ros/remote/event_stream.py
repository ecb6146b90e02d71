"""The server's stream of events, read with suspicion: bounded, UTF-8, JSON, whole."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

_LONGEST_LINE = 1 << 20
_LARGEST_COUNT = (1 << 32) - 1
"""What a uint32 of the bill can hold."""


class StreamError(ValueError):
    """What came is no answer; a clause that says why."""


@dataclass(frozen=True)
class Event:
    """What one event says.

    Arguments:
        text: more of the answer.
        finish_reason: as the server says it; '': the answer goes on.
        prompt_tokens, response_tokens: if the event counts them; else 0.
        is_written: a token of the answer, or of its thinking, came with it.
    """

    text: str = ''
    finish_reason: str = ''
    prompt_tokens: int = 0
    response_tokens: int = 0
    is_written: bool = False


async def events(stream: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[Event]:
    """Yield what the server says, until it says that all is said, or its stream ends.

    Arguments:
        stream: the body, decompressed.
        most_bytes: more than this is no answer.

    Raises:
        StreamError: too large, not UTF-8, or no event.
    """
    async for line in _lines(stream, most_bytes):
        if not line.startswith('data:'):
            continue  # a comment, or a field that no event here needs
        data = line[len('data:') :].strip()
        if data == '[DONE]':
            return
        if data:
            yield _event(data)


async def _lines(stream: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[str]:
    rest, size = b'', 0
    async for piece in stream:
        size += len(piece)
        if size > most_bytes:
            raise StreamError(f'it sent more than {most_bytes} bytes')
        *lines, rest = (rest + piece).split(b'\n')
        if len(rest) > _LONGEST_LINE:
            raise StreamError(f'it sent a line of more than {_LONGEST_LINE} bytes')
        for line in lines:
            yield _utf8(line)
    if rest:
        yield _utf8(rest)


def _utf8(line: bytes) -> str:
    try:
        return line.decode().rstrip('\r')
    except UnicodeDecodeError:
        raise StreamError('it sent bytes that are not UTF-8') from None


def _event(data: str) -> Event:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise StreamError('it sent an event that is no JSON') from None
    if not isinstance(value, dict):
        raise StreamError('it sent an event that is no object')
    if value.get('error'):
        raise StreamError('it broke the answer off with an error')
    try:
        return _of(value)
    except (TypeError, AttributeError, ValueError):
        raise StreamError('it sent an event that is no part of a chat completion') from None


def _of(value: dict[str, Any]) -> Event:
    usage = value.get('usage') or {}
    prompt_tokens, response_tokens = (
        min(max(0, int(usage.get(name) or 0)), _LARGEST_COUNT)
        for name in ('prompt_tokens', 'completion_tokens')
    )
    choices = value.get('choices') or [{}]
    delta = choices[0].get('delta') or {}
    text, thinking = delta.get('content') or '', delta.get('reasoning_content') or ''
    text.encode()  # \ud800 in JSON is no character; UnicodeEncodeError is a ValueError
    return Event(
        text,
        str(choices[0].get('finish_reason') or ''),
        prompt_tokens,
        response_tokens,
        bool(text or thinking),
    )
