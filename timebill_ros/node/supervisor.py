"""A configured model: its worker process, and whether that can serve."""

import threading
from collections.abc import Callable
from dataclasses import replace

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.dispatch.dispatcher import Dispatcher
from timebill_ros.node.kept_lengths import KeptLengths
from timebill_ros.node.loading_log import LoadingLog
from timebill_ros.node.logger import Logger
from timebill_ros.node.preparations import Preparations
from timebill_ros.node.settings import NodeSettings
from timebill_ros.node.worker_backend import WorkerBackend
from timebill_ros.node.worker_log import WorkerLog
from timebill_ros.worker.log_line import LogLine
from timebill_ros.worker.progress import Progress
from timebill_ros.worker.protocol import (
    Estimate,
    Load,
    Phase,
    PrefixesHeld,
    Prepared,
    Ready,
    Recalibrate,
)
from timebill_ros.worker.worker_client import WorkerClient, WorkerState

NOTHING_HELD = PrefixesHeld(0, 0, 0)


class Supervisor:
    """Lives from configure to cleanup. Afterwards, nothing that the worker still says has effect.

    One lock orders what the worker's threads say and what the node does: the dispatcher has the
    worker exactly while that is ready and not being measured. The lock is taken before the
    dispatcher's, never after it.

    Arguments:
        settings: all of the node's parameters, as they are at configure.
        dispatcher: is given the worker when that is ready.
        logger: takes the worker's log, and what becomes of the worker.
        on_loaded: called, from a thread of the worker's, when the model is loaded, or cannot be.
        on_estimate: called with the error of each estimate, likewise.
    """

    def __init__(
        self,
        settings: NodeSettings,
        dispatcher: Dispatcher,
        logger: Logger,
        on_loaded: Callable[[], None],
        on_estimate: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._logger = logger
        self._worker_log = WorkerLog(logger)
        self._loading_log = LoadingLog(logger, settings.loading.profile_time_s)
        self._on_loaded = on_loaded
        self._on_estimate = on_estimate
        self._lock = threading.Lock()
        self._is_closed = False
        self._is_recalibrating = False
        self.ready: Ready | None = None
        self.estimate = Estimate(None)
        self.prefixes = NOTHING_HELD
        self.model = settings.loading.model
        self._worker = WorkerClient(Load(settings.loading), self)
        self._backend = WorkerBackend(self._worker, dispatcher)
        self._preparations = Preparations(self._worker.send)
        self._lengths = KeptLengths(dispatcher.lengths, logger)
        self._worker.start()

    @property
    def state(self) -> WorkerState:
        """Where the worker process stands."""
        return self._worker.state

    @property
    def restarts(self) -> int:
        """How often the worker has been replaced."""
        return self._worker.restarts

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is no process."""
        return self._worker.pid

    def why_not_ready(self) -> str:
        """Return a sentence why queries cannot be served, '' if they can; takes no lock."""
        if self.ready is None:
            return self._worker.describe()
        if self._is_recalibrating:
            return 'the time model is being measured again'
        return ''

    def describe(self) -> str:
        """Return a sentence on what the worker is doing."""
        return self._worker.describe()

    @property
    def progress(self) -> str:
        """A sentence on what takes long just now; '' if nothing does."""
        is_busy = self._is_recalibrating or self.state is WorkerState.LOADING
        return (self.why_not_ready() or self.describe()) if is_busy else ''

    def change_settings(self, settings: NodeSettings) -> None:
        """Plan by other parameters, from the next query on."""
        with self._lock:
            before = self._settings.queries.system_prompt
            self._settings = settings
            if settings.queries.system_prompt != before and self.ready is not None:
                self._preparations.set_system_prompt(settings.queries.system_prompt)
            if not self._is_closed:
                self._plan_anew()

    def recalibrate(self) -> str:
        """Have the time model measured again; return '', or why not."""
        with self._lock:
            refusal = self.why_not_ready()
            if refusal or self._is_closed:
                return refusal
            if self._dispatcher.is_serving:
                return 'queries are being served: try again when none is'
            self._is_recalibrating = True
            self._dispatcher.close(Miss(MissReason.CANCELLED, 'the time model is being measured'))
            self._worker.send(Recalibrate())
            return ''

    def prepare(
        self, asker: str, system_prompt: str, context: str, done: Callable[[Prepared], None]
    ) -> str:
        """Have a context held for an asker; return '', or why not. Any thread may call done."""
        with self._lock:
            refusal = self.why_not_ready()
            if refusal or self._is_closed:
                return refusal or 'the node is being cleaned up'
            return self._preparations.prepare(asker, system_prompt, context, done)

    def close(self, outcome: Miss) -> None:
        """End all queries with an outcome, then the worker; return when it is gone."""
        with self._lock:
            self._is_closed, self.ready = True, None
            self._hold(NOTHING_HELD)
            self._preparations.lost(outcome.detail)
            self._dispatcher.close(outcome)
        self._worker.stop()
        self._lengths.close()

    # What the worker says, from its threads

    def on_worker_ready(self, ready: Ready) -> None:
        """Let it serve."""
        self._lengths.open(ready.lengths_file)
        with self._lock:
            if self._is_closed:
                return
            self.ready = ready
            self._open()
            self._preparations.again()
            self._preparations.set_system_prompt(self._settings.queries.system_prompt)
        self._loading_log.ready(ready)
        self._on_loaded()

    def on_worker_phase(self, phase: Phase) -> None:
        """Say what takes so long."""
        self._loading_log.phase(phase)

    def on_worker_progress(self, progress: Progress) -> None:
        """Pass on what it says of a query."""
        self._backend.tell(progress)

    def on_worker_prefixes(self, held: PrefixesHeld) -> None:
        """Take what its cache holds."""
        with self._lock:
            if not self._is_closed:
                self._hold(held)

    def on_worker_prepared(self, prepared: Prepared) -> None:
        """Take what has become of a context to prepare."""
        if prepared.detail:
            self._logger.warning(f'a context is not prepared: {prepared.detail}')
        with self._lock:
            self._preparations.told(prepared)

    def on_worker_estimate(self, estimate: Estimate) -> None:
        """Take its estimate; plan by it from the next query on."""
        self._on_estimate(estimate.error)
        with self._lock:
            if self._is_closed:
                return
            self.estimate = estimate
            self._plan_anew()
            if self._is_recalibrating:
                self._is_recalibrating = False
                self._open()

    def on_worker_leaving(self) -> None:
        """Take no more queries; those that it held end when the reason is known."""
        with self._lock:
            if not self._is_closed:
                self.ready, self._is_recalibrating = None, False
                self._dispatcher.close(None)

    def on_worker_lost(self, detail: str) -> None:
        """End its queries; it will be replaced."""
        with self._lock:
            if self._is_closed:
                return
            self.ready, self._is_recalibrating = None, False
            self._hold(NOTHING_HELD)
            self._preparations.lost(f'the worker process ended: {detail}')
            self._dispatcher.close(
                Miss(MissReason.ENGINE_FAULT, f'the worker process ended: {detail}')
            )
        self._logger.error(self._worker.describe())

    def on_worker_failed(self, detail: str) -> None:
        """Say that there will be no model."""
        self._logger.error(detail)
        self._on_loaded()

    def on_worker_log(self, line: LogLine) -> None:
        """Pass on a line of its log."""
        self._worker_log.add(line)

    def _hold(self, held: PrefixesHeld) -> None:
        self.prefixes = held
        self._plan_anew()

    def _open(self) -> None:
        assert self.ready is not None
        self._dispatcher.open(self._backend, self.ready.context_length, self._planner())

    def _plan_anew(self) -> None:
        held = self.prefixes
        self._dispatcher.change_planner(self._planner(), held.longest_tokens, held.room_tokens)

    def _planner(self) -> BudgetPlanner:
        min_kept_tokens = self.ready.min_kept_tokens if self.ready else 1
        return BudgetPlanner(
            replace(self._settings.planning, min_kept_tokens=min_kept_tokens),
            self.estimate.time_model,
        )
