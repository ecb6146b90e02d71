"""Messages as bytes on the connection: MessagePack, each after its length.

MessagePack and not JSON, because JSON has no infinity: an unbounded deadline is one.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from timebill_ros.worker.protocol import FromWorker, ToWorker

_Message = TypeVar('_Message')
_LENGTH = struct.Struct('>I')
_TO_WORKER: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_FROM_WORKER: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


class BadMessageError(ValueError):
    """The other side has sent what is no message: it is of another version, or broken."""


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as bytes. UTF-8 has no lone surrogates: each becomes '?'."""
    try:
        payload = msgspec.msgpack.encode(message, enc_hook=_number)
    except UnicodeEncodeError:
        plain = _without_surrogates(msgspec.to_builtins(message, enc_hook=_number))
        payload = msgspec.msgpack.encode(plain)
    return _LENGTH.pack(len(payload)) + payload


def messages_to_worker(connection: socket.socket) -> Iterator[ToWorker]:
    """Yield what the node says, until the node closes the connection or dies.

    Raises:
        BadMessageError: the bytes are no such message.
    """
    return received(connection, _TO_WORKER)


def messages_from_worker(connection: socket.socket) -> Iterator[FromWorker]:
    """Yield what the worker says, until the worker closes the connection or dies.

    Raises:
        BadMessageError: the bytes are no such message.
    """
    return received(connection, _FROM_WORKER)


def received(
    connection: socket.socket, decoder: msgspec.msgpack.Decoder[_Message]
) -> Iterator[_Message]:
    """Yield what the other side says, until it closes the connection or dies.

    Raises:
        BadMessageError: the bytes are no such message.
    """
    with connection.makefile('rb') as stream:
        while (payload := _read(stream.read)) is not None:
            try:
                message = decoder.decode(payload)
            except msgspec.DecodeError as error:
                raise BadMessageError(f'it sent what is no message: {error}') from error
            yield message


def _read(read: Callable[[int], bytes]) -> bytes | None:
    """Return the next payload; None: the connection has ended, perhaps within a message."""
    try:
        head = read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        payload = read(length)
    except OSError:  # reset: the other side was killed
        return None
    return payload if len(payload) == length else None


def _number(value: object) -> float:
    """Return a plain float of a float of another type, such as numpy's."""
    if isinstance(value, float):
        return float(value)
    raise TypeError(f'a message cannot hold {value!r}, of type {type(value).__name__}')


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode('utf-8', 'replace').decode()
    if isinstance(value, dict):
        return {name: _without_surrogates(field) for name, field in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
