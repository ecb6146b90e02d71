"""A fake of an OpenAI-compatible server: real HTTP on loopback, no model."""

import contextlib
import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Behaviour = Callable[['Exchange'], None]


class Exchange:
    """One request, and ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.handler = handler
        self.body = body

    def begin(self, content_type: str = 'text/event-stream', **headers: str) -> None:
        self.handler.send_response(200)
        self.handler.send_header('Content-Type', content_type)
        for name, value in headers.items():
            self.handler.send_header(name.replace('_', '-'), value)
        self.handler.send_header('Connection', 'close')
        self.handler.end_headers()

    def raw(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def event(self, event: Any) -> None:
        self.raw(b'data: ' + json.dumps(event).encode() + b'\n\n')

    def text(self, text: str, finish_reason: str | None = None) -> None:
        self.event({'choices': [{'delta': {'content': text}, 'finish_reason': finish_reason}]})

    def end(self, finish_reason: str = 'stop', **usage: int) -> None:
        self.text('', finish_reason)
        if usage:
            self.event({'choices': [], 'usage': usage})
        self.raw(b'data: [DONE]\n\n')

    def status(self, status: int, body: str = '', **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.send_header('Content-Length', str(len(body.encode())))
        self.handler.send_header('Connection', 'close')
        self.handler.end_headers()
        self.raw(body.encode())


def says(*pieces: str, finish_reason: str = 'stop', pause_s: float = 0.0) -> Behaviour:
    """Answer with pieces of text."""

    def behave(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            time.sleep(pause_s)
            exchange.text(piece)
        exchange.end(finish_reason, prompt_tokens=7, completion_tokens=len(pieces) + 1)

    return behave


def status(code: int, body: str = '', **headers: str) -> Behaviour:
    return lambda exchange: exchange.status(code, body, **headers)


def silence(exchange: Exchange) -> None:
    """Say nothing until the other side closes."""
    exchange.handler.connection.settimeout(60.0)
    with contextlib.suppress(OSError):
        exchange.handler.connection.recv(1)


def half_a_stream(exchange: Exchange) -> None:
    exchange.begin()
    exchange.text('Turn ')
    exchange.text('left')


def stalled_stream(exchange: Exchange) -> None:
    exchange.begin()
    exchange.text('Turn ')
    silence(exchange)


def garbage(exchange: Exchange) -> None:
    exchange.raw(b'\x00\xff\x13garbage' * 50)


def no_json(exchange: Exchange) -> None:
    exchange.begin()
    exchange.raw(b'data: {"choices": [{"del\n\n')


def not_utf8(exchange: Exchange) -> None:
    exchange.begin()
    exchange.raw(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n')


def lone_surrogate(exchange: Exchange) -> None:
    exchange.begin()
    exchange.raw(b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n')


def error_event(exchange: Exchange) -> None:
    exchange.begin()
    exchange.text('Turn ')
    exchange.event({'error': {'message': 'out of memory'}})


def endless(exchange: Exchange) -> None:
    """Send for ever, as far as the other side lets it."""
    exchange.begin()
    with contextlib.suppress(OSError):
        while True:
            exchange.text('left ' * 1000)


def bomb(exchange: Exchange) -> None:
    """Compress 200 MB to 200 KB."""
    exchange.begin(Content_Encoding='gzip')
    with contextlib.suppress(OSError):
        exchange.raw(gzip.compress(b'data: \n\n' * 25_000_000, 1))


class FakeChatServer:
    """Answers each request as `behaviour` says.

    Arguments:
        certificate, key: files (PEM) for https; None: http.
        port: on loopback; 0: any that is free.
    """

    def __init__(
        self, certificate: Path | None = None, key: Path | None = None, port: int = 0
    ) -> None:
        self.behaviour: Behaviour = says('Turn ', 'left', '.')
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.streaming = 0
        """Requests that are being answered."""
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self) -> None:
                fake._answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self._server = Server(('127.0.0.1', port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = 'http' if certificate is None else 'https'
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f'{self._scheme}://127.0.0.1:{self.port}/v1'

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers['Content-Length'])))
        with self._lock:
            self.requests.append(body)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self.paths.append(handler.path)
            self.streaming += 1
        try:
            self.behaviour(Exchange(handler, body))
        except OSError:
            pass  # the other side has closed the stream
        finally:
            with self._lock:
                self.streaming -= 1
            handler.close_connection = True


@contextlib.contextmanager
def fake_chat_server(*files: Path) -> Iterator[FakeChatServer]:
    server = FakeChatServer(*files)
    try:
        yield server
    finally:
        server.close()
