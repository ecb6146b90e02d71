"""One worker process, as the node has it: started, talked to, ended."""

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from timebill_ros.worker.log_line import LogLine, LogReader, is_record
from timebill_ros.worker.protocol import FromWorker
from timebill_ros.worker.wire import encode, messages_from_worker, received

_Message = TypeVar('_Message')
_LAST_BREATH_S = 0.1
"""A process whose connection has ended is about to end: so long it takes to be seen."""
_ONE_HEAP = {'MALLOC_ARENA_MAX': '1'}
"""What a thread frees, another one takes: 30 MB less than with a heap for each thread."""


class WorkerProcess:
    """A process and the connection to it.

    A writer thread encodes and sends: sending to a stopped process blocks. Another thread reads
    the process's log.

    Arguments:
        popen: the process; its standard error is a pipe.
        connection: our end of the socket pair.
        on_log: called with each line of its log, from a thread.
    """

    def __init__(
        self,
        popen: 'subprocess.Popen[bytes]',
        connection: socket.socket,
        on_log: Callable[[LogLine], None],
    ) -> None:
        self._popen = popen
        self._connection = connection
        self._on_log = on_log
        self._outbox: queue.SimpleQueue[msgspec.Struct | None] = queue.SimpleQueue()
        self._last_line = ''
        self._killed_because = ''
        self._log = threading.Thread(target=self._forward_log, daemon=True)
        self._log.start()
        threading.Thread(target=self._write, daemon=True).start()

    @classmethod
    def start(
        cls, on_log: Callable[[LogLine], None], module: str = 'timebill_ros.worker'
    ) -> 'WorkerProcess':
        """Start a process. The kernel ends it with the thread that calls this.

        Arguments:
            on_log: called with each line of its log, from a thread.
            module: what it runs.

        Raises:
            OSError: there is no memory, or no process to be had.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            popen = subprocess.Popen(
                [
                    sys.executable,
                    '-m',
                    module,
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=_ONE_HEAP | os.environ,
            )
        return cls(popen, ours, on_log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def send(self, message: msgspec.Struct) -> None:
        """Send a message; return at once."""
        self._outbox.put(message)

    def messages(self) -> Iterator[FromWorker]:
        """Yield what it says, to its end.

        Raises:
            BadMessageError: it sent what is no message.
        """
        return messages_from_worker(self._connection)

    def received(self, decoder: msgspec.msgpack.Decoder[_Message]) -> Iterator[_Message]:
        """Yield what a process of another module says, to its end.

        Raises:
            BadMessageError: it sent what is no message.
        """
        return received(self._connection, decoder)

    def kill(self, because: str) -> None:
        """Kill it, for a reason that stands in for its last words."""
        self._killed_because = because
        self._popen.kill()

    def close(self) -> str:
        """End it if it still runs; return why it ended, as far as that can be known."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_LAST_BREATH_S)
        was_running = self._popen.poll() is None
        self._popen.kill()
        self._outbox.put(None)
        self._log.join(timeout=0.2)
        code = self._popen.wait()
        self._connection.close()
        status = f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit status {code}'
        if code == -signal.SIGKILL and not was_running:
            status += ', as the kernel does when memory runs out'
        words = f'{status}: {self._last_line}' if self._last_line else status
        return self._killed_because or words

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._connection.sendall(encode(message))
            except OSError:
                return

    def _forward_log(self) -> None:
        assert self._popen.stderr is not None
        reader = LogReader()
        with self._popen.stderr as stream:
            for raw in stream:
                text = raw.decode(errors='replace').rstrip()
                if text:
                    line = reader.read(text)
                    # A logger's warning tells of something else, perhaps hours ago.
                    lowest = logging.ERROR if is_record(text) else logging.WARNING
                    if line.level >= lowest:
                        self._last_line = line.text
                    self._on_log(line)
