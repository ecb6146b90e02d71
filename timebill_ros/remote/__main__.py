"""The remote process: owns the network. No look-up and no server can hold up the node.

Started by remote_client.py with a socket's number and the node's process id.
"""

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from timebill_ros.remote.protocol import TO_REMOTE, Ask, Connect, FromRemote, ToRemote
from timebill_ros.remote.server import Server
from timebill_ros.worker.child_process import settle
from timebill_ros.worker.log_line import log_to_standard_error
from timebill_ros.worker.wire import encode, received

_LOOK_UPS = 256
"""Names that may be looked up at once: one that hangs cannot be called off."""
_log = logging.getLogger('timebill_ros.remote')


def main() -> None:
    """Ask the server that the first message names, until the connection closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    settle(parent=int(sys.argv[2]))
    log_to_standard_error()
    # A request's headers hold the key; these libraries may log them at DEBUG.
    for library in ('httpx', 'httpcore', 'asyncio'):
        logging.getLogger(library).setLevel(logging.WARNING)
    messages = received(connection, TO_REMOTE)
    connect = next(messages, None)
    if connect is None:  # the node has ended meanwhile
        return
    assert isinstance(connect, Connect)
    try:
        asyncio.run(_serve(connection, connect, messages))
    except Exception:
        _log.exception('the remote process has failed')
        os._exit(1)


async def _serve(
    connection: socket.socket, connect: Connect, messages: Iterator[ToRemote]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_LOOK_UPS))

    def send(message: FromRemote) -> None:
        connection.sendall(encode(message))

    asking = _Asking(Server(connect, send))

    def listen() -> None:
        for message in messages:
            loop.call_soon_threadsafe(asking.take, message)
        os._exit(0)  # the node has closed the connection

    threading.Thread(target=listen, daemon=True).start()
    await asyncio.Event().wait()


class _Asking:
    """The queries that are being answered, a task each."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take(self, message: ToRemote) -> None:
        """Do what the node says."""
        if isinstance(message, Ask):
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._tasks[message.number] = task
            task.add_done_callback(lambda _: self._tasks.pop(message.number, None))
        elif not isinstance(message, Connect) and message.number in self._tasks:
            self._tasks[message.number].cancel()

    async def _answer(self, ask: Ask) -> None:
        try:
            await asyncio.wait_for(self._server.answer(ask), ask.until_s - time.monotonic())
        except asyncio.TimeoutError:
            pass  # the node has ended the query
        except Exception:
            _log.exception('a query has failed')
            self._server.failed(ask)


if __name__ == '__main__':
    main()
