"""The messages between the node and the remote process, sent as worker/wire.py does."""

import msgspec
from msgspec import Struct

from timebill_ros.core.constraint import Constraint
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.turn import Turn


class Connect(Struct, frozen=True, tag=True):
    """Node to process, first of all: the server. The key is not here, only its variable's name.

    Arguments:
        url: of the chat completions.
        key_env: the environment variable that holds the key; '': no key.
        ca_file: '': the certificates of certifi.
        timeout_s: longest time to connect, and longest silence [s].
    """

    url: str
    model: str
    key_env: str
    ca_file: str
    timeout_s: float


class Ask(Struct, frozen=True, tag=True):
    """Node to process: have a query answered.

    Arguments:
        until_s: the process gives it up by itself then, on the monotonic clock [s].
    """

    number: int
    prompt: str
    system_prompt: str
    context: str
    history: tuple[Turn, ...]
    constraint: Constraint | None
    max_new_tokens: int
    until_s: float


class Abort(Struct, frozen=True, tag=True):
    """Node to process: close the stream of a query, so that the server stops. Not answered."""

    number: int


class Piece(Struct, frozen=True, tag=True):
    """Process to node: more text, and the tokens so far."""

    number: int
    text: str
    response_tokens: int


class Done(Struct, frozen=True, tag=True):
    """Process to node: the answer is whole, and has its form.

    Arguments:
        finish_reason: EOS, or LENGTH: the server cut it.
        prompt_tokens: as the server counted; 0: it did not say.
        choice: index of the chosen one; -1: the query has no choices.
    """

    number: int
    finish_reason: FinishReason
    prompt_tokens: int
    response_tokens: int
    choice: int = -1


class Fault(Struct, frozen=True, tag=True):
    """Process to node: there is no answer.

    Arguments:
        detail: a sentence for a person.
        is_link: the next query would meet the same: the network, or the server as a whole.
    """

    number: int
    detail: str
    is_link: bool


ToRemote = Connect | Ask | Abort
FromRemote = Piece | Done | Fault
TO_REMOTE: msgspec.msgpack.Decoder[ToRemote] = msgspec.msgpack.Decoder(ToRemote)
FROM_REMOTE: msgspec.msgpack.Decoder[FromRemote] = msgspec.msgpack.Decoder(FromRemote)
