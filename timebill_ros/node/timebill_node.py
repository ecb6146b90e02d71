"""The lifecycle node `timebill`: topics, services, parameters and the lifecycle, tied together."""

import time
from contextlib import ExitStack
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from timebill_ros.core.model_name import why_no_model
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.dispatch.dispatcher import Dispatcher
from timebill_ros.dispatch.query_statistics import QueryStatistics
from timebill_ros.node import parameters
from timebill_ros.node.cancel_service import CancelService
from timebill_ros.node.diagnostics import resident_memory_mb
from timebill_ros.node.generate_action import GenerateAction
from timebill_ros.node.lenient_parameters import LenientParameters
from timebill_ros.node.loading_lifecycle_node import LoadingLifecycleNode
from timebill_ros.node.manager_bond import ManagerBond
from timebill_ros.node.name_watch import NameWatch
from timebill_ros.node.node_state import NodeState
from timebill_ros.node.prepare_service import PrepareService
from timebill_ros.node.query_intake import QueryIntake
from timebill_ros.node.remote_link import RemoteLink
from timebill_ros.node.reply_publisher import ReplyPublisher
from timebill_ros.node.status_publisher import StatusPublisher
from timebill_ros.node.supervisor import NOTHING_HELD, Supervisor
from timebill_ros.worker.protocol import Estimate
from timebill_ros.worker.worker_client import WorkerState

_PROGRESS_PERIOD_S = 10.0
_NOT_CONFIGURED = 'the node is not configured'


class TimebillNode(LenientParameters, LoadingLifecycleNode):
    """Answers queries by their deadlines. All inference happens in the worker process.

    Configure loads the model, while the executor goes on; the other transitions take no time.
    While the node is configured there is a supervisor, with a worker process; while it is active,
    the dispatcher serves queries.

    Arguments:
        rclpy_arguments: passed on to rclpy's node, for tests: parameter_overrides, context,
            namespace.
    """

    def __init__(self, **rclpy_arguments: Any) -> None:
        self._own = ExitStack()
        """What there is to remove, also of a node that a bad parameter keeps from starting."""
        super().__init__('timebill', **rclpy_arguments)
        self._settings = parameters.declare(self)
        for sentence in parameters.ignored(self):
            self.get_logger().warning(sentence)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = QueryStatistics()
        # A simulation's clock may stand still: what a person watches must not.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._goals = GenerateAction(
            self,
            lambda message, origin: self._intake.take(message, origin),
            lambda key: self._dispatcher.cancel(key.asker, key.id, 'its goal was cancelled'),
        )
        self._own.callback(self._goals.destroy)
        self._replies = ReplyPublisher(self, self._goals, self._statistics, steady)
        self._dispatcher = Dispatcher(
            self._settings.serving, self._replies, time.monotonic, self._why_not_ready
        )
        self._remote = RemoteLink(self._dispatcher, self.get_logger())
        self._remote.change_settings(self._settings.remote)
        self._bond = ManagerBond(self)
        self._own.callback(self._bond.close)
        self._supervisor: Supervisor | None = None
        self._why_not_configured = _NOT_CONFIGURED
        self._autostarts = self._settings.autostart
        self._intake = QueryIntake(self, self._dispatcher, lambda: self._settings)
        CancelService(self, self._dispatcher)
        self.create_service(Trigger, '~/recalibrate', self._on_recalibrate)
        PrepareService(
            self, lambda: self._supervisor, lambda: self._settings, self._why_not_serving
        )
        StatusPublisher(self, self._dispatcher, self._statistics, self._state, steady)
        self.create_timer(_PROGRESS_PERIOD_S, self._log_progress, clock=steady)
        self._name_watch = NameWatch(self, steady)
        self._loaded_signal = self.create_guard_condition(self._on_loaded)
        if self._autostarts:
            self.configure()
        else:
            self.get_logger().info('autostart is false: waiting for the transition "configure"')

    def begin_configuring(self) -> None:
        """Start the worker, which loads the model; fail at once if there is no such model."""
        model = self._settings.loading.model
        if reason := why_no_model(model):
            self.get_logger().error(reason)
            self._why_not_configured, self._autostarts = reason, False
            self.end_configuring(False)
            return
        self.get_logger().info(f'loading the model {model!r}')
        self._why_not_configured = _NOT_CONFIGURED
        self._supervisor = Supervisor(
            self._settings,
            self._dispatcher,
            self.get_logger(),
            self._loaded_signal.trigger,
            self._statistics.count_estimate,
        )

    def abandon_configuring(self) -> None:
        """End the worker while it loads."""
        self._end('the node is being cleaned up')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Serve queries."""
        self._dispatcher.resume()
        self._bond.form(self._settings.bond_heartbeat_period_s)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End what is in flight as CANCELLED, refuse what comes; the worker keeps the model."""
        self._dispatcher.pause(Miss(MissReason.CANCELLED, 'the node is being deactivated'))
        self._bond.dissolve()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the worker, and so free its memory."""
        self._end('the node is being cleaned up')
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything."""
        self._end('the node is being shut down')
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, whatever failed."""
        self.get_logger().error('a transition failed: the node is unconfigured')
        self._end('a transition of the node has failed')
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """End what is in flight as CANCELLED and the worker; wait until subscribers know."""
        self._end('the node is being shut down')
        self._remote.close()
        self._dispatcher.shut_down()
        self._goals.wait_until_sent(timeout_s=1.0)
        self._replies.wait_until_received(timeout_s=0.5)

    def destroy_node(self) -> None:
        """Remove the node, when its executor does not spin any more."""
        self._own.close()
        super().destroy_node()

    # Callbacks of the executor

    def _on_loaded(self) -> None:
        """Leave *configuring*, the model being there or having failed."""
        supervisor = self._supervisor
        if supervisor is None or self.state_label != 'configuring':
            return  # the worker was replaced later: the node stays as it is
        has_failed = supervisor.state is WorkerState.FAILED
        if has_failed:
            self._why_not_configured = supervisor.describe()
            self._end(self._why_not_configured)
        self.end_configuring(not has_failed)
        # Once in the node's life: who configures or deactivates it later, means it.
        if self._autostarts and not has_failed:
            self.change_state('activate')
        self._autostarts = False

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            self._settings = parameters.changed(self._settings, changes, self._supervisor is None)
        except ValueError as error:
            return parameters.refused(error)
        self._dispatcher.change_settings(self._settings.serving)
        self._remote.change_settings(self._settings.remote)
        if self._supervisor is not None:
            self._supervisor.change_settings(self._settings)
        return parameters.accepted()

    def _on_recalibrate(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        refusal = self._supervisor.recalibrate() if self._supervisor else self._why_not_ready()
        response.success = not refusal
        time_s = self._settings.loading.profile_time_s
        response.message = refusal or f'the time model is being measured again, for {time_s:.0f} s'
        return response

    def _log_progress(self) -> None:
        if self._supervisor is not None and self._supervisor.progress:
            self.get_logger().info(self._supervisor.progress)

    # Ours

    def _state(self) -> NodeState:
        supervisor = self._supervisor
        return NodeState(
            self._settings,
            self._worker_state,
            self._why_not_serving(),
            supervisor.ready if supervisor else None,
            supervisor.estimate if supervisor else Estimate(None),
            supervisor.prefixes if supervisor else NOTHING_HELD,
            supervisor.restarts if supervisor else 0,
            resident_memory_mb(supervisor.pid if supervisor else None),
            self._remote.watch(),
        )

    @property
    def _worker_state(self) -> WorkerState:
        if self._supervisor is not None:
            return self._supervisor.state
        has_failed = self._why_not_configured is not _NOT_CONFIGURED
        return WorkerState.FAILED if has_failed else WorkerState.STOPPED

    def _why_not_serving(self) -> str:
        """Return '' while queries are served."""
        if self._supervisor is None or self._supervisor.why_not_ready():
            return self._why_not_ready()
        return '' if self._dispatcher.is_active else self._why_not_ready()

    def _why_not_ready(self) -> str:
        """Return why queries are refused; called under the dispatcher's lock too."""
        supervisor = self._supervisor
        if supervisor is None:
            return self._why_not_configured
        if supervisor.ready is not None and not self._dispatcher.is_active:
            return 'the node is not active'
        return supervisor.why_not_ready() or 'the worker process begins to serve just now'

    def _end(self, detail: str) -> None:
        """End what is in flight, and the worker; refuse what comes."""
        outcome = Miss(MissReason.CANCELLED, detail)
        self._dispatcher.pause(outcome)
        self._bond.dissolve()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.close(outcome)
