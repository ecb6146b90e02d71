"""The lifecycle node `timebill`: topics, lifecycle and the worker, tied together."""

import itertools
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

import timebill_ros.msg as msg
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import Answer, Miss, MissReason, Outcome
from timebill_ros.core.query import Origin
from timebill_ros.node import messages, parameters
from timebill_ros.node.diagnostics import (
    deadlines_status,
    diagnostic_array,
    estimate_status,
    inference_status,
    resident_memory_mb,
)
from timebill_ros.node.dispatcher import Dispatcher, DispatchSettings
from timebill_ros.node.query_statistics import QueryStatistics
from timebill_ros.node.settings import NodeSettings, eviction_settings, planner_settings
from timebill_ros.worker.protocol import Estimate, Load, Ready, Recalibrate
from timebill_ros.worker.worker_client import WorkerClient, WorkerState

QUERY_QOS = QoSProfile(
    depth=1000, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
REPLY_QOS = QoSProfile(
    depth=100, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
_PROGRESS_PERIOD_S = 5.0


class TimebillNode(LifecycleNode):
    """Answers queries by their deadlines. All inference happens in the worker process.

    Arguments:
        rclpy_arguments: passed on to rclpy's node, for tests: parameter_overrides, context,
            namespace.
    """

    def __init__(self, **rclpy_arguments: Any) -> None:
        super().__init__('timebill', **rclpy_arguments)
        self._settings = parameters.declare(self)
        for name in parameters.misspelled(self):
            self.get_logger().warning(f'{name!r} is no parameter of this node: it has no effect')
        self.add_on_set_parameters_callback(self._on_set_parameters)
        # Ordinary publishers: lifecycle ones are silent while the node is inactive, and NOT_READY
        # must go out.
        self._chunks = self._publisher(msg.ResponseChunk, '~/response_chunk')
        self._responses = self._publisher(msg.Response, '~/response')
        self._misses = self._publisher(msg.DeadlineMiss, '~/deadline_miss')
        self._diagnostics = Node.create_publisher(self, DiagnosticArray, '/diagnostics', 10)
        self._statistics = QueryStatistics()
        self._dispatcher = Dispatcher(_dispatch_settings(self._settings), self, time.monotonic)
        self._worker: WorkerClient | None = None
        self._ready: Ready | None = None
        self._estimate = Estimate(None)
        self._is_recalibrating = False
        self._is_active = False
        self._activates_when_ready = False
        self._assigned_ids = itertools.count(1)
        self.create_subscription(msg.Query, '~/query', self._on_query, QUERY_QOS)
        self.create_service(Trigger, '~/recalibrate', self._on_recalibrate)
        # A simulation's clock may stand still: what a person watches must not.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(_PROGRESS_PERIOD_S, self._log_progress, clock=steady)
        self._ready_signal = self.create_guard_condition(self._on_ready)
        self._refuse_queries(Miss(MissReason.NOT_READY, ''))
        if self._settings.autostart:
            self.trigger_configure()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker; return at once."""
        settings = self._settings
        load = Load(
            settings.model,
            settings.device,
            settings.dtype,
            settings.quantization,
            settings.threads,
            settings.repetition_penalty,
            settings.profile_time,
            eviction_settings(settings),
        )
        self.get_logger().info(f'loading the model {settings.model!r}')
        self._activates_when_ready = settings.autostart
        self._worker = WorkerClient(load, self)
        self._worker.start()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Serve queries, from when the model is ready."""
        self._is_active, self._activates_when_ready = True, False
        self._serve_if_ready()
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End what is in flight as CANCELLED, refuse what comes."""
        self._is_active = False
        self._dispatcher.cancel_all('the node is being deactivated')
        self._refuse_queries(Miss(MissReason.CANCELLED, 'the node is being deactivated'))
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the worker."""
        self._stop_worker()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything."""
        self._is_active = False
        self._refuse_queries(Miss(MissReason.CANCELLED, 'the node is being shut down'))
        self._stop_worker()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured."""
        self._stop_worker()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """End what is in flight as CANCELLED and the worker; wait until subscribers know."""
        self._is_active = False
        self._refuse_queries(Miss(MissReason.CANCELLED, 'the node is being shut down'))
        self._stop_worker()
        self._dispatcher.shut_down()
        for publisher in (self._responses, self._misses):
            publisher.wait_for_all_acked(Duration(seconds=0.5))

    # What the worker says, from its threads

    def on_worker_ready(self, ready: Ready) -> None:
        """Say so; the executor's thread goes on from here."""
        self._ready = ready
        self.get_logger().info(
            f'ready: {ready.model!r} on {ready.device} in {ready.dtype}, quantization '
            f'{ready.quantization}, step {ready.step}, context of {ready.context_length} tokens'
        )
        self._ready_signal.trigger()

    def on_worker_message(self, message: Any) -> None:
        """Take its estimate, or pass on what it says of a query."""
        if isinstance(message, Estimate):
            self._estimate = message
            self._statistics.count_estimate(message)
            self._dispatcher.change_planner(self._planner())
            if self._is_recalibrating:
                self._is_recalibrating = False
                self._ready_signal.trigger()
        else:
            self._dispatcher.on_worker_message(message)

    def on_worker_lost(self, detail: str) -> None:
        """End its queries; it will be replaced."""
        self._ready, self._is_recalibrating = None, False
        self.get_logger().error(self._why_not_ready())
        self._refuse_queries(
            Miss(MissReason.ENGINE_FAULT, f'the inference process ended: {detail}')
        )

    def on_worker_failed(self, detail: str) -> None:
        """Say that there will be no model."""
        self.get_logger().error(detail)

    def on_worker_log(self, line: str) -> None:
        """Pass on a line of its log."""
        level, _, text = line.partition(': ')
        logger = self.get_logger()
        if level == 'INFO':
            logger.info(text)
        else:
            logger.warning(f'inference process: {line}')

    # Replies, from the dispatcher, under its lock

    def publish_chunk(self, origin: Origin, sequence: int, text: str) -> None:
        """Publish a piece of an answer."""
        self._chunks.publish(messages.chunk_message(origin, self._now(), sequence, text))

    def publish_outcome(
        self, origin: Origin, outcome: Outcome, bill: Bill, chunk_count: int
    ) -> None:
        """Publish the terminal reply."""
        message = messages.outcome_message(origin, self._now(), outcome, bill, chunk_count)
        (self._responses if isinstance(outcome, Answer) else self._misses).publish(message)
        self._statistics.count(outcome, bill)

    # Callbacks of the executor

    def _on_ready(self) -> None:
        # Once after each configuration: who deactivates the node later means it.
        if self._activates_when_ready:
            self.trigger_activate()
        else:
            self._serve_if_ready()

    def _on_query(self, message: msg.Query) -> None:
        origin = messages.origin_of(message, f'auto-{next(self._assigned_ids)}')
        arrival = messages.Arrival(self.get_clock().now().nanoseconds * 1e-9, time.monotonic)
        try:
            query = messages.query_of(message, origin, self._settings, arrival)
        except messages.RefusedError as refused:
            self._dispatcher.refuse(origin, refused.miss, Bill())
            return
        self._dispatcher.submit(query)

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            self._settings = parameters.changed(self._settings, changes)
        except ValueError as error:
            return parameters.refused(error)
        self._dispatcher.change_settings(_dispatch_settings(self._settings))
        self._dispatcher.change_planner(self._planner())
        return parameters.accepted()

    def _on_recalibrate(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if self._worker is None or self._ready is None:
            response.message = self._why_not_ready()
        elif self._dispatcher.is_serving:
            response.message = 'queries are being served: try again when none is'
        else:
            self._is_recalibrating = True
            self._refuse_queries(Miss(MissReason.CANCELLED, 'the time model is being measured'))
            self._worker.send(Recalibrate())
            response.success = True
            response.message = (
                f'the time model is being measured again, for {self._settings.profile_time:.0f} s'
            )
        return response

    def _publish_diagnostics(self) -> None:
        worker = self._worker
        serves = self._is_active and self._ready is not None and not self._is_recalibrating
        name, summary = self.get_fully_qualified_name(), self._statistics.summary()
        self._diagnostics.publish(
            diagnostic_array(
                self._now(),
                inference_status(
                    name,
                    worker.state if worker else WorkerState.STOPPED,
                    '' if serves else self._why_not_ready(),
                    self._settings.model,
                    self._ready,
                    worker.restarts if worker else 0,
                    resident_memory_mb(worker.pid if worker else None),
                ),
                deadlines_status(name, summary, self._dispatcher.queue_length),
                estimate_status(
                    name,
                    self._estimate,
                    summary.estimate_errors,
                    self._settings.max_eviction_ratio,
                ),
            )
        )

    def _log_progress(self) -> None:
        if self._worker is not None and self._worker.state is WorkerState.LOADING:
            self.get_logger().info(self._worker.describe())

    # Ours

    def _publisher(self, message_type: Any, topic: str) -> Any:
        return Node.create_publisher(self, message_type, topic, REPLY_QOS)

    def _now(self) -> Any:
        return self.get_clock().now().to_msg()

    def _serve_if_ready(self) -> None:
        if self._is_active and self._worker is not None and self._ready is not None:
            self._dispatcher.open(self._worker, self._ready.context_length, self._planner())

    def _planner(self) -> BudgetPlanner:
        min_kept_tokens = self._ready.min_kept_tokens if self._ready else 1
        settings = planner_settings(self._settings, min_kept_tokens)
        return BudgetPlanner(settings, self._estimate.time_model)

    def _refuse_queries(self, outcome: Miss) -> None:
        self._dispatcher.close(outcome, self._why_not_ready)

    def _why_not_ready(self) -> str:
        if self._worker is None:
            return 'the node is not configured'
        if self._worker.state is not WorkerState.READY:
            return self._worker.describe()
        if self._is_recalibrating:
            return 'the time model is being measured again'
        return 'the node is not active'

    def _stop_worker(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker, self._ready, self._activates_when_ready = None, None, False


def _dispatch_settings(settings: NodeSettings) -> DispatchSettings:
    return DispatchSettings(
        max_queue_length=settings.max_queue_length,
        publish_reserve_s=settings.publish_reserve,
        chunk_period_s=1.0 / settings.chunk_rate,
        abort_grace_s=settings.abort_grace,
    )
