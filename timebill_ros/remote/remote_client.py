"""The node's side of the remote process: start it, talk to it, replace it."""

import threading
from typing import Protocol

from timebill_ros.core.query import Query
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.remote.protocol import (
    FROM_REMOTE,
    Abort,
    Ask,
    Connect,
    Done,
    Fault,
    FromRemote,
)
from timebill_ros.worker.log_line import LogLine
from timebill_ros.worker.wire import BadMessageError
from timebill_ros.worker.worker_process import WorkerProcess

_FIRST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 30.0
_MODULE = 'timebill_ros.remote'


class RemoteListener(Protocol):
    """Told of what happens, from the client's threads."""

    def on_remote(self, message: FromRemote) -> None:
        """Be told what becomes of a query."""

    def on_remote_log(self, line: LogLine) -> None:
        """Be told of a line of the process's log."""


class RemoteClient:
    """Keeps one remote process alive. Nothing here waits for it.

    A thread of its own starts each process and outlives it: the kernel ends a process with the
    thread that started it.

    Arguments:
        settings: which server.
        listener: told of what happens. Each query gets one Done or Fault, or is aborted.
    """

    def __init__(self, settings: RemoteSettings, listener: RemoteListener) -> None:
        self._connect = Connect(
            settings.completions_url,
            settings.remote_model,
            settings.remote_api_key_env,
            settings.remote_ca_file,
            settings.remote_timeout_s,
        )
        self._listener = listener
        self._lock = threading.Lock()
        self._asked: set[int] = set()
        self._process: WorkerProcess | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name='remote', daemon=True)

    @property
    def pid(self) -> int | None:
        """Process id; None while there is no process."""
        process = self._process
        return process.pid if process else None

    def start(self) -> None:
        """Start the process; return at once."""
        self._thread.start()

    def ask(self, number: int, query: Query, max_new_tokens: int, until_s: float) -> bool:
        """Have a query answered; return whether there is a process to do so."""
        with self._lock:
            if self._process is None:
                return False
            self._asked.add(number)
            self._process.send(
                Ask(
                    number,
                    query.prompt,
                    query.system_prompt,
                    query.context,
                    query.history,
                    query.constraint,
                    max_new_tokens,
                    until_s,
                )
            )
            return True

    def abort(self, number: int) -> None:
        """Have the stream of a query closed; nothing happens if it has ended."""
        with self._lock:
            if number in self._asked and self._process is not None:
                self._asked.remove(number)
                self._process.send(Abort(number))

    def stop(self) -> None:
        """End the process for good; return when it is gone, within a second."""
        self._stop.set()
        process = self._process
        if process is not None:
            process.kill('stopped')
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _supervise(self) -> None:
        back_off_s = _FIRST_BACK_OFF_S
        while not self._stop.is_set():
            try:
                detail, has_spoken = self._run_once()
            except OSError as error:  # no memory, no process to be had: later perhaps
                detail, has_spoken = f'it could not be started: {error}', False
            if self._stop.is_set():
                return
            back_off_s = _FIRST_BACK_OFF_S if has_spoken else back_off_s
            self._lose_all(f'the remote process ended: {detail}')
            self._stop.wait(back_off_s)
            back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)

    def _run_once(self) -> tuple[str, bool]:
        """Follow a process to its end; return why it ended, and whether it has said anything."""
        process = WorkerProcess.start(self._listener.on_remote_log, _MODULE)
        process.send(self._connect)
        with self._lock:
            self._process = process
        if self._stop.is_set():  # stop() may have come before there was a process to kill
            process.kill('stopped')
        has_spoken = False
        try:
            for message in process.received(FROM_REMOTE):
                has_spoken = True
                if self._is_wanted(message):
                    self._listener.on_remote(message)
        except BadMessageError as error:
            process.kill(str(error))
        with self._lock:
            self._process = None
        return process.close(), has_spoken

    def _is_wanted(self, message: FromRemote) -> bool:
        with self._lock:
            is_wanted = message.number in self._asked
            if isinstance(message, Done | Fault):
                self._asked.discard(message.number)
            return is_wanted

    def _lose_all(self, detail: str) -> None:
        with self._lock:
            lost, self._asked = self._asked, set()
        for number in lost:
            self._listener.on_remote(Fault(number, detail, is_link=True))
