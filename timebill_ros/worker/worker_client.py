"""The node's side of the worker process: start it, talk to it, watch it, replace it."""

import enum
import threading
import time
from dataclasses import dataclass

from timebill_ros.worker.protocol import (
    Estimate,
    Failed,
    Load,
    Phase,
    PrefixesHeld,
    Prepared,
    Ready,
    ToWorker,
)
from timebill_ros.worker.wire import BadMessageError
from timebill_ros.worker.worker_listener import WorkerListener
from timebill_ros.worker.worker_process import WorkerProcess

_FIRST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 30.0
_STEADY_S = 60.0
"""A worker that was ready for so long starts the back-off anew."""
_ATTEMPTS = 3
"""To load the model for the first time, before it counts as failed."""
_LOADING = Phase('loading')


class WorkerState(enum.Enum):
    """Where the worker process stands."""

    STOPPED = 'stopped'
    LOADING = 'loading'
    READY = 'ready'
    WAITING = 'waiting to be started again'
    FAILED = 'failed'


@dataclass(frozen=True)
class _End:
    """How a process has ended.

    Arguments:
        detail: its last words.
        ready_s: how long it was ready [s]; None: it never was.
        is_lasting: the next one would end in the same way.
    """

    detail: str
    ready_s: float | None = None
    is_lasting: bool = False


class WorkerClient:
    """Keeps one worker process alive.

    A thread of its own starts each process and outlives it: the kernel ends a worker with the
    thread that started it. Nothing here waits for the worker.

    A model that cannot be loaded has failed: at once if trying again cannot help, else after three
    attempts. Once the worker has been ready it is replaced without end, whatever ends it: what has
    worked on this machine may work again.

    Arguments:
        load: what the worker is told to load.
        listener: told of what happens.
    """

    def __init__(self, load: Load, listener: WorkerListener) -> None:
        self._load = load
        self._listener = listener
        self._stop = threading.Event()
        self._process: WorkerProcess | None = None
        self._detail = ''
        self._phase = _LOADING
        self.state = WorkerState.STOPPED
        self.since_s = time.monotonic()
        self.restarts = 0
        self._supervisor = threading.Thread(target=self._supervise, name='worker', daemon=True)

    @property
    def pid(self) -> int | None:
        """Process id of the worker, None if there is none."""
        process = self._process
        return process.pid if process else None

    def start(self) -> None:
        """Start the worker; return at once."""
        self._enter(WorkerState.LOADING)
        self._supervisor.start()

    def send(self, message: ToWorker) -> None:
        """Send a message; return at once. Without a process it is lost, and so are its queries."""
        process = self._process
        if process is not None:
            process.send(message)

    def kill(self, detail: str) -> None:
        """End a process that does not answer; it is replaced. on_worker_lost is told why."""
        process = self._process
        if process is not None:
            process.kill(detail)

    def stop(self) -> None:
        """End the worker for good; return when it is gone, within a second."""
        self._stop.set()
        process = self._process
        if process is not None:
            process.kill('stopped')
        if self._supervisor.is_alive():
            self._supervisor.join(timeout=1.0)
        self._enter(WorkerState.STOPPED)

    def describe(self) -> str:
        """Return a sentence for a person: why queries cannot be served now, if they cannot."""
        age_s = time.monotonic() - self.since_s
        if self.state is WorkerState.LOADING:
            model = self._load.settings.model
            if self._phase.doing == 'measuring':
                return (
                    f'the time model of {model!r} is being measured, {self._phase.share:.0%} done'
                )
            return f'the model {model!r} is being loaded, for {age_s:.1f} s so far'
        if self.state in (WorkerState.FAILED, WorkerState.WAITING):
            return self._detail
        return f'the worker process is {self.state.value}'

    def _enter(self, state: WorkerState, detail: str = '') -> None:
        self.state, self._detail, self.since_s = state, detail, time.monotonic()

    def _supervise(self) -> None:
        back_off_s, attempts, has_been_ready = _FIRST_BACK_OFF_S, 0, False
        while not self._stop.is_set():
            self._phase = _LOADING
            self._enter(WorkerState.LOADING)
            end = self._run_once()
            if self._stop.is_set():
                return
            attempts += 1
            has_been_ready = has_been_ready or end.ready_s is not None
            if not has_been_ready and (end.is_lasting or attempts == _ATTEMPTS):
                self._fail(end, attempts)
                return
            if end.ready_s is not None and end.ready_s > _STEADY_S:
                back_off_s = _FIRST_BACK_OFF_S
            self._enter(
                WorkerState.WAITING,
                f'the worker process ended ({end.detail}) '
                f'and is started again {back_off_s:.1f} s later',
            )
            self._listener.on_worker_lost(end.detail)
            self._stop.wait(back_off_s)
            back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)
            self.restarts += 1

    def _fail(self, end: _End, attempts: int) -> None:
        detail = end.detail if end.is_lasting else f'{end.detail}, after {attempts} attempts'
        self._enter(WorkerState.FAILED, detail)
        self._listener.on_worker_failed(detail)

    def _run_once(self) -> _End:
        """Follow a process to its end."""
        try:
            process = WorkerProcess.start(self._listener.on_worker_log)
        except OSError as error:  # no memory, no process to be had: later perhaps
            return _End(f'it could not be started: {error}')
        process.send(self._load)
        self._process = process
        if self._stop.is_set():  # stop() may have come before there was a process to kill
            process.kill('stopped')
        ready_at_s, failed = self._listen(process)
        ended_at_s = time.monotonic()
        self._process = None
        if ready_at_s is not None and not self._stop.is_set():
            # The reason takes some tenths of a second to be known: no query is to come meanwhile.
            self._enter(WorkerState.WAITING, 'the worker process has ended, and is replaced')
            self._listener.on_worker_leaving()
        detail = process.close()
        ready_s = None if ready_at_s is None else ended_at_s - ready_at_s
        if failed is not None:
            return _End(failed.detail, ready_s, is_lasting=not failed.may_pass)
        return _End(detail, ready_s)

    def _listen(self, process: WorkerProcess) -> tuple[float | None, Failed | None]:
        """Pass on what a process says, to its end.

        Returns:
            When it became ready [s], if it did; and why it could not, if it said so.
        """
        ready_at_s = None
        try:
            for message in process.messages():
                if isinstance(message, Ready):
                    ready_at_s = time.monotonic()
                    self._enter(WorkerState.READY)
                    self._listener.on_worker_ready(message)
                elif isinstance(message, Failed):
                    return ready_at_s, message
                elif isinstance(message, Phase):
                    self._phase = message
                    self._listener.on_worker_phase(message)
                elif isinstance(message, PrefixesHeld):
                    self._listener.on_worker_prefixes(message)
                elif isinstance(message, Prepared):
                    self._listener.on_worker_prepared(message)
                elif isinstance(message, Estimate):
                    self._listener.on_worker_estimate(message)
                else:
                    self._listener.on_worker_progress(message)
        except BadMessageError as error:
            process.kill(str(error))
        except Exception as error:  # the listener's: better another worker than a dead thread
            process.kill(f'the node failed at what it told: {error!r}')
        return ready_at_s, None
