"""The server of the remote engine: one streamed chat completion a query."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable

import httpx

from timebill_ros.core.outcome import FinishReason
from timebill_ros.remote.answer_form import FormError, answer_of_form
from timebill_ros.remote.chat_request import chat_request, most_tokens
from timebill_ros.remote.dialect import Dialect
from timebill_ros.remote.event_stream import Event, StreamError, events
from timebill_ros.remote.protocol import Ask, Connect, Done, Fault, FromRemote, Piece

_MOST_CONNECTIONS = 256
_USAGE_S = 0.1
"""An answer that has ended waits no longer for the server's count of its tokens."""
_BYTES = 1 << 16
_BYTES_A_TOKEN = 4096
"""An event holds a token; its names and its ids are the most of it."""
_FINISH = {'stop': FinishReason.EOS, 'length': FinishReason.LENGTH}
_QUERY_STATUS = (400, 413, 422)
"""Of this one query's content. Every other status is the server's: the next would meet it too."""
_FIELD_STATUS = (400, 422, 500, 501)
"""Of a field that a server does not know, if it names it. llama-cpp-python's answers with 500."""
_LONGEST_DETAIL = 200


class Server:
    """Sends requests to one address, and to no other.

    No redirects are followed. Proxies, certificates and passwords of the environment are not
    used. The key is a header of these requests, and is in no sentence.

    Arguments:
        connect: which server.
        send: takes what becomes of a query.
    """

    def __init__(self, connect: Connect, send: Callable[[FromRemote], None]) -> None:
        self._model = connect.model
        self._url = connect.url
        self._timeout_s = connect.timeout_s
        self._send = send
        self._dialect = Dialect()
        self._key = os.environ.get(connect.key_env, '').strip() if connect.key_env else ''
        headers = {'Accept': 'text/event-stream', 'Accept-Encoding': 'identity'}
        if self._key:
            headers['Authorization'] = f'Bearer {self._key}'
        # Certificates take 20 ms to read: only where there are any.
        verify: ssl.SSLContext | bool = False
        if connect.url.startswith('https:'):
            verify = ssl.create_default_context(cafile=connect.ca_file or _certifi())
        self._client = httpx.AsyncClient(
            headers=headers,
            verify=verify,
            timeout=httpx.Timeout(connect.timeout_s),
            limits=httpx.Limits(max_connections=_MOST_CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
        )

    async def answer(self, ask: Ask) -> None:
        """Answer a query. When cancelled, the stream is closed, so that the server stops."""
        try:
            done = await self._ask(ask)
        except (StreamError, FormError) as error:
            is_link = isinstance(error, StreamError)
            self._fault(ask, f'the remote engine failed: {error}', is_link)
        except _StatusError as error:
            self._fault(ask, f'the remote engine answered with {error}', error.is_link)
        except httpx.TimeoutException as error:
            silent_s, name = self._timeout_s, type(error).__name__
            self._fault(ask, f'the remote engine was silent for {silent_s:.3f} s ({name})', True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            what = f'{type(error).__name__}: {error}'.rstrip(': ')
            self._fault(ask, f'the remote engine is out of reach: {what}', True)
        else:
            self._send(done)

    def failed(self, ask: Ask) -> None:
        """Say that a query ended in an error of this process."""
        self._fault(ask, 'the remote process failed, see its log', is_link=False)

    async def _ask(self, ask: Ask) -> Done:
        """Ask; a server that refuses a field is asked again without it, and from then on."""
        while True:
            dialect = self._dialect
            try:
                return await self._try(ask, dialect)
            except _StatusError as error:
                if error.status not in _FIELD_STATUS:
                    raise
                if dialect == self._dialect:  # else another query has learned meanwhile
                    less = dialect.without(str(error), ask)
                    if less is None:
                        raise
                    self._dialect = less

    async def _try(self, ask: Ask, dialect: Dialect) -> Done:
        body = chat_request(ask, self._model, dialect)
        async with self._client.stream('POST', self._url, json=body) as response:
            if response.status_code != httpx.codes.OK:
                raise _StatusError(response.status_code, await _beginning(response))
            if response.headers.get('content-encoding', 'identity') != 'identity':
                raise StreamError('it compressed the answer, which it was asked not to')
            bound = _BYTES + _BYTES_A_TOKEN * most_tokens(ask)
            return await self._read(ask, events(response.aiter_raw(), bound))

    async def _read(self, ask: Ask, stream: AsyncIterator[Event]) -> Done:
        text, tokens, prompt_tokens, counted, finish = '', 0, 0, 0, ''
        while not (finish and counted):
            try:
                event = await asyncio.wait_for(anext(stream), _USAGE_S if finish else None)
            except (StopAsyncIteration, asyncio.TimeoutError):
                break
            text += event.text
            tokens += event.is_written
            finish = finish or event.finish_reason
            prompt_tokens = event.prompt_tokens or prompt_tokens
            # Some servers count from the first event on.
            counted = event.response_tokens if finish else 0
            if ask.constraint is None and event.is_written:
                self._send(Piece(ask.number, event.text, tokens))
        if not finish:
            raise StreamError('its stream was cut before the answer had ended')
        if finish not in _FINISH:
            raise StreamError(f'it ended the answer for the reason {finish[:40]!r}')
        reason, choice = _FINISH[finish], -1
        tokens = counted or tokens
        if ask.constraint is not None and reason is FinishReason.EOS:
            text, choice = answer_of_form(text, ask.constraint)
            self._send(Piece(ask.number, text, tokens))
        return Done(ask.number, reason, prompt_tokens, tokens, choice)

    def _fault(self, ask: Ask, detail: str, is_link: bool) -> None:
        """Say why there is no answer; a server may have sent the key back."""
        detail = ' '.join(detail.split())
        if self._key:
            detail = detail.replace(self._key, '***')
        self._send(Fault(ask.number, detail[:_LONGEST_DETAIL], is_link))


class _StatusError(Exception):
    """An HTTP status that is no answer."""

    def __init__(self, status: int, body: str) -> None:
        phrase = httpx.codes.get_reason_phrase(status)
        super().__init__(f'HTTP status {status} {phrase}: {body}'.rstrip(': '))
        self.status = status
        self.is_link = status not in _QUERY_STATUS


async def _beginning(response: httpx.Response) -> str:
    """Return the first words of an error's body."""
    body = b''
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > 2 * _LONGEST_DETAIL:
            break
    text = body[: 8 * _LONGEST_DETAIL].decode(errors='replace')
    return ''.join(letter if letter.isprintable() else ' ' for letter in text)


def _certifi() -> str:
    import certifi

    return certifi.where()
